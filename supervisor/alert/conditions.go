package alert

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
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
	// again.
	What, Todo string
	// Proof, if it is set, is when things went well. It ends only an alert
	// that was raised before.
	Proof time.Time
	// Cause of the trouble alone; "": What is all that is known.
	Cause string
}

// over says whether a trouble that has lasted since then is known to be over.
func (c Condition) over(since time.Time) bool {
	return c.State == Off && (c.Proof.IsZero() || c.Proof.After(since))
}

// everything is the subject of what concerns no account, provider or sink.
const everything = "*"

// Key is the name of a trouble: its type and what it concerns, one of the three
// names or none.
func Key(t event.Type, account, provider, sink string) string {
	return string(t) + ":" + subject(account, provider, sink)
}

func subject(account, provider, sink string) string {
	return cmp.Or(account, provider, sink, everything)
}

// key is the name of its alert: all accounts of a provider are in one.
func (c Condition) key() string { return Key(c.Type, "", c.Provider, c.Sink) }

// Conditions says for everything in the snapshot which troubles it has. One
// that is not in the answer is not a matter of this configuration any more.
func Conditions(s Snapshot, p Policy) []Condition {
	asked := map[string]bool{}
	for _, a := range s.Accounts {
		asked[a.Name] = true
	}
	return conditionsOf(s, p, asked)
}

// doubtful are the accounts of which a condition is On, or will be once some time
// has passed.
func (s Snapshot) doubtful(p Policy) map[string]bool {
	names := map[string]bool{}
	for n := range s.Accounts {
		if a := &s.Accounts[n]; a.troubled(s.Now, p) {
			names[a.Name] = true
		}
	}
	return names
}

// conditionsOf leaves out the accounts that are well and of which nobody asks.
func conditionsOf(s Snapshot, p Policy, asked map[string]bool) (all []Condition) {
	for n := range s.Accounts {
		a := &s.Accounts[n]
		if a.troubled(s.Now, p) || asked[a.Name] {
			all = append(all, a.failing(s.Now), a.needsLogin(), a.ambiguous(), a.unknownToken(), a.wrongZone(), a.fileShut(),
				a.loginDue(s.Now, p.LoginDue), a.loginUnknown(p.LoginDue))
		}
	}
	for _, proc := range s.Processes {
		all = append(all, proc.crashing(s.Now), proc.parked(s.Now))
	}
	for _, l := range s.Loads {
		all = append(all, l.overload())
	}
	for _, k := range s.Sinks {
		all = append(all, k.failing(), k.unknownToken(), k.disabled())
	}
	disk := s.disk()
	for _, f := range s.Facts {
		c := factual(f, s.Now)
		switch {
		case c.Type != disk.Type || c.key() != disk.key():
			all = append(all, c)
		case disk.State == Off:
			disk = c
		}
	}
	return append(all, disk, s.otherMachine())
}

// disk is the fault of the store, which needs no event.
func (s Snapshot) disk() Condition {
	c := Condition{Type: event.DiskTrouble, State: Off, What: diskWell}
	if s.StoreFault != "" {
		c.State = On
		c.What = "nothing can be stored, and so no refresh token is spent: " + s.StoreFault
		c.Todo = "check the disk of the state directory; it is tried again all the time"
	}
	return c
}

func (s Snapshot) otherMachine() Condition {
	if s.OtherMachine == "" {
		return Condition{Type: event.OtherMachine, State: Off, What: "the store belongs to this machine"}
	}
	return Condition{Type: event.OtherMachine, State: On, What: s.OtherMachine, Todo: s.OtherTodo}
}

const diskWell = "the disk takes everything again"

// factual is the condition of a fact.
func factual(f event.Fact, now time.Time) Condition {
	c := Condition{Type: f.Type, Account: f.Account, Provider: f.Provider, State: On, What: f.What, Cause: f.What}
	if of := "account " + f.Account + ": "; f.Account != "" && !strings.HasPrefix(c.What, of) {
		c.What = of + c.What
	}
	if elapsed(f.At, now, f.Type.Fades()) {
		c.State, c.What = Off, fmt.Sprintf("%s for %s", faded(f.Type), span(f.Type.Fades()))
	}
	return c
}

// faded says of a trouble that nothing was heard of it for long.
func faded(t event.Type) string {
	switch t {
	case event.RivalRefresher:
		return "nothing more was seen of another program that refreshes this grant"
	case event.StoreRestored:
		return "nothing more was heard of the restored store"
	case event.PlanMended:
		return "the plan was in order"
	case event.StoreDisplaced:
		return "nobody has touched the state directory"
	}
	return "nothing more was heard of the trouble with the disk"
}

// gone says that a room knows that the trouble is over.
func gone(t event.Type, of string) string {
	switch t {
	case event.DiskTrouble:
		return diskWell
	case event.StoreDisplaced:
		return "the store could be written anew since, and is durable again"
	case event.StoreRestored:
		return fmt.Sprintf("account %s has a token that was made since", of)
	}
	return of + " is not in the configuration any more"
}
