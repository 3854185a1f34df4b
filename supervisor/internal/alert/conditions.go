package alert

import (
	"cmp"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
)

// State of a condition.
type State int

const (
	// Unknown leaves an alert as it is: after a restart, nothing is called
	// over before that is known.
	Unknown State = iota
	Off
	On
)

// Condition is whether one trouble exists.
type Condition struct {
	Type                    event.Type
	Account, Provider, Sink string
	State                   State
	// What is wrong, and what to do about it; of one that is Off: what is well
	// again, if that is not the same for all of its type.
	What, Todo string
	// Needs is what gives the account a token, if that ends the trouble.
	Needs advice.Means
	// Cause of the trouble alone; "": What is all that is known.
	Cause string
	// Unannounced: nobody else tells of the trouble, though others of its type are told
	// by who meets them.
	Unannounced bool
	// Proof, if it is set, is when things went well. It ends only an alert
	// that was raised before.
	Proof time.Time
}

// on is the trouble.
func (c Condition) on(cause, what, todo string) Condition {
	c.State, c.Cause, c.What, c.Todo = On, cause, what, todo
	return c
}

// off is its end; "": as phrasesOf says it.
func (c Condition) off(what string) Condition {
	c.State, c.What = Off, what
	return c
}

// over says whether a trouble that has lasted since then is known to be over.
func (c Condition) over(since time.Time) bool {
	return c.State == Off && (c.Proof.IsZero() || c.Proof.After(since))
}

// text is what is wrong and what to do about it, or what is well again.
func (c Condition) text() string {
	switch {
	case c.State == Off:
		return cmp.Or(c.What, wellAgain(c.Type, subject(c.Account, c.Provider, c.Sink)))
	case c.Todo == "":
		return c.What
	}
	return c.What + "; " + c.Todo
}

// everything is the subject of what concerns no account, provider or sink.
const everything = "*"

func subject(account, provider, sink string) string {
	return cmp.Or(account, provider, sink, everything)
}

// key is what its alert is of: all accounts of a provider are in one.
func (c Condition) key() key { return key{c.Type, c.Provider, c.Sink} }

// key names an alert.
type key struct {
	is             event.Type
	provider, sink string
}

func (k key) String() string { return string(k.is) + ":" + subject("", k.provider, k.sink) }

// doubtful are the accounts of which a condition is On, or will be once some time
// has passed.
func (s *Snapshot) doubtful(p Policy) map[string]bool {
	names := map[string]bool{}
	for n := range s.Accounts {
		if a := &s.Accounts[n]; a.troubled(s.Now, p) {
			names[a.Name] = true
		}
	}
	return names
}

// conditions tells of everything in the snapshot which troubles it has, but not
// of accounts that are well and of which nobody asks. What is not told is not a
// matter of this configuration any more.
func (s *Snapshot) conditions(p Policy, asked map[string]bool, tell func(Condition)) {
	for n := range s.Accounts {
		a := &s.Accounts[n]
		if !a.troubled(s.Now, p) && !asked[a.Name] {
			continue
		}
		for _, c := range []Condition{
			a.failing(s.Now), a.needsLogin(s.Now), a.ambiguous(s.Now), a.loginWaits(), a.grantedElsewhere(s.Now), a.unknownToken(s.Now), a.wrongZone(), a.fileShut(s.Now),
			a.loginDue(s.Now, p.LoginDue), a.loginUnknown(p.LoginDue), paused{a}.forgotten(s.Now, p.LoginDue), a.Outage.budget(a, s.Now),
			a.sessionCompeting(), a.sessionGone(s.Now), a.sessionUnheard(s.Now),
		} {
			tell(c)
		}
	}
	for _, proc := range s.Processes {
		tell(proc.crashing(s.Now))
		tell(proc.parked(s.Now))
	}
	for _, l := range s.Loads {
		tell(l.overload())
	}
	for _, k := range s.Sinks {
		tell(k.failing())
		tell(k.unknownToken())
		tell(k.disabled())
		tell(k.unmet())
		tell(k.away(s.Now))
	}
	for _, f := range s.Facts {
		tell(factual(f))
	}
	if s.StoreFault != "" {
		tell(Condition{Type: event.DiskTrouble}.on("", "nothing can be stored, and so no refresh token is spent: "+s.StoreFault,
			"check the disk of the state directory; it is tried again all the time"))
	}
	if s.OtherMachine != "" {
		tell(Condition{Type: event.OtherMachine}.on("", s.OtherMachine, s.OtherTodo))
	}
	if s.ReloadFailed != "" {
		tell(Condition{Type: event.ReloadFailed}.on("", "the configuration could not be read again, and what runs does not follow it: "+s.ReloadFailed,
			"mend that, and then: tokenkeeper reload"))
	}
}

// factual is the condition of a fact.
func factual(f event.Fact) Condition {
	what := f.What
	if of := "account " + f.Account + ": "; f.Account != "" && !strings.HasPrefix(what, of) {
		what = of + what
	}
	return Condition{Type: f.Type, Account: f.Account, Provider: f.Provider}.on(f.What, what, "")
}

// gone says why a trouble is over that no condition speaks of any more: of a
// fact, that its room knows of it no more.
func gone(t event.Type, of string) string {
	if t.Fades() > 0 || t == event.OtherMachine || t == event.ReloadFailed {
		return wellAgain(t, of)
	}
	return of + " is not in the configuration any more"
}
