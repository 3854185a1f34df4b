package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// Bounds of what can be set.
const (
	maxInFlight       = 1024
	minAttemptTimeout = time.Second
	maxAttemptTimeout = 5 * time.Minute
)

// validate reports what does not fit together.
func (l *loader) validate(cfg *Config) {
	root := l.root
	if cfg.StateDir == "" && !root.Broken("state_dir") {
		l.report(root.At("state_dir"), "there is no default without $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME",
			"write state_dir: /var/lib/tokenkeeper")
	}
	if cfg.FallbackDir != "" && cfg.StateDir != "" && liesIn(cfg.FallbackDir, cfg.StateDir) {
		l.report(root.At("fallback_dir"), "it is the state directory, or lies in it, and what fails there fails here too",
			"write a directory on another disk, or remove the line")
	}
	Steered(root, "fallback_dir", cfg.FallbackDir)
	steeredPlugins(root.Down("plugins"), cfg.Plugins.Dir)
	logs := root.Down("log")
	Choice(root, "machine_guard", "auto", "on", "off")
	Choice(root, "reload", ReloadManual, ReloadWatch)
	Choice(logs, "level", "debug", "info", "warn", "error")
	Choice(logs, "format", "text", "json")
	AtLeast(logs, "max_megabytes", cfg.Log.MaxMegabytes, 0)
	AtLeast(logs, "max_age", cfg.Log.MaxAge, 0)
	Within(logs, "keep", cfg.Log.Keep, 0, mostKeptLogs)
	l.validateSocket(cfg)
	l.validateReaders(cfg)
	alerts := root.Down("alerts")
	AtLeast(alerts, "repeat", cfg.Alerts.Repeat, 0)
	AtLeast(alerts, "login_due", cfg.Alerts.LoginDue, 0)
	validateHeartbeat(root, cfg.Heartbeat)
	validateMetrics(root, cfg.Metrics)

	known, check := l.knownProviders(cfg)
	providers := root.Down("providers")
	for _, name := range providers.Keys() {
		p := providers.Down(name)
		validateProvider(p)
		if check && !slices.Contains(known, name) {
			l.report(providers.At(name), fmt.Sprintf("unknown provider %q", name), unknownProvider(name, known, cfg))
		}
	}
	l.validateAccounts(cfg, known, check)
	taken := l.takenPaths(cfg)
	l.validateSharedPaths(cfg, taken)
	l.validateSinks(cfg, taken)
}

func (l *loader) validateSocket(cfg *Config) {
	control := l.root.Down("control")
	n := len(cfg.Control.Socket)
	switch {
	case n <= maxSocketPath:
	case control.Given("socket"):
		l.report(control.At("socket"), tooLong(n), "choose a shorter one")
	default:
		at := l.root.At("state_dir")
		at.key = "control.socket"
		l.report(at, "its default, control.sock in state_dir: "+tooLong(n), "write control.socket with a shorter path")
	}
}

func tooLong(n int) string {
	return fmt.Sprintf("the path of a Unix socket is at most %d bytes long, this one is %d", maxSocketPath, n)
}

// knownProviders returns the names that an account may have, and whether they
// can be told.
func (l *loader) knownProviders(cfg *Config) (names []string, ok bool) {
	if l.source.KnownProviders == nil || l.root.e.under("plugins", "dir").isBroken() || l.root.Broken("providers") || !l.answers(cfg.Plugins.Dir) {
		return nil, false
	}
	names = slices.Clone(l.source.KnownProviders(cfg.Plugins.Dir))
	providers := l.root.Down("providers")
	for _, name := range providers.Keys() {
		if p := providers.Down(name); p.Given("command") {
			names = append(names, name)
		}
	}
	return names, true
}

func unknownProvider(name string, known []string, cfg *Config) string {
	if hint := nearest.Hint(name, known); hint != "" {
		return hint
	}
	return fmt.Sprintf("put %s%s into %s, or write providers.%s.command", ProviderBinary, name, cfg.Plugins.Dir, name)
}

func validateProvider(o Object) {
	Within(o, "max_in_flight", o.Number("max_in_flight"), 1, maxInFlight)
	validateMaintenance(o)
	Program(o)
}

func (l *loader) validateAccounts(cfg *Config, known []string, check bool) {
	accounts := l.root.Down("accounts")
	if len(cfg.Accounts) == 0 && l.nothingUnder("accounts") {
		l.report(l.root.At("accounts"), "there is no account",
			"write one, or let \"tokenkeeper init\" write a configuration to begin with")
	}
	for _, name := range l.accounts {
		o, a := accounts.Down(name), cfg.Accounts[name]
		switch at := o.At("provider"); {
		case o.Broken("provider"):
		case a.Provider == "":
			l.report(at, "the account has no provider", "write provider: schwab, or whichever it belongs to")
		case !sdk.ValidName(a.Provider):
			message, hint := badName(a.Provider)
			l.report(at, message, hint)
		case check && !slices.Contains(known, a.Provider) && !l.root.Down("providers").Given(a.Provider):
			l.report(at, fmt.Sprintf("unknown provider %q", a.Provider), unknownProvider(a.Provider, known, cfg))
		}
		URL(o, "redirect_url", a.RedirectURL)
		if a.SharedFile != nil {
			validateSharedFile(o.Down("shared_file"), a.SharedFile)
		}
		validateRefresh(o.Down("refresh"), a.Refresh)
	}
}

// nothingUnder says whether a section has no entries, not even broken ones.
func (l *loader) nothingUnder(section string) bool {
	e := l.root.e.under(section)
	return (e == nil || len(e.below) == 0) && !e.isBroken() && len(l.badNames) == 0
}

func validateRefresh(o Object, r Refresh) {
	AtLeast(o, "before_expiry", r.BeforeExpiry, 0)
	AtLeast(o, "every", r.Every, 0)
	if o.Given("jitter") {
		AtLeast(o, "jitter", r.Jitter, 0)
	}
	validateBudget(o, r)
	AtLeast(o, "max_failures", r.MaxFailures, 1)
	Within(o, "timeout", r.Timeout, minAttemptTimeout, maxAttemptTimeout)
}
