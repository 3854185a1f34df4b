package event

import "log/slog"

// Voice tells what happens to one account. It is safe for concurrent use.
type Voice struct {
	provider, account string
	bus               *Bus
	facts             *Facts
	log               *slog.Logger
}

// NewVoice is that of an account: what it tells names both. Facts keeps its troubles.
func NewVoice(provider, account string, bus *Bus, facts *Facts, log *slog.Logger) Voice {
	return Voice{provider, account, bus, facts, log}
}

// Log is for who reads the log alone.
func (v Voice) Log() *slog.Logger { return v.log.With("provider", v.provider, "account", v.account) }

// Publish tells of an event of the account.
func (v Voice) Publish(level slog.Level, e Event) {
	e.Provider, e.Account = v.provider, v.account
	v.bus.Publish(level, e)
}

// Trouble is Publish of a trouble that no other state of the account shows, until
// [Voice.Over].
func (v Voice) Trouble(level slog.Level, e Event) {
	e.Provider, e.Account = v.provider, v.account
	v.facts.Meet(level, e)
}

// Over ends a trouble of the account.
func (v Voice) Over(t Type) { v.facts.End(t, v.account) }
