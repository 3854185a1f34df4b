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
	return conditionsOf(s, p, func(*Account) bool { return true })
}

// conditionsOf leaves out the accounts that are well and of which nobody asks:
// almost all of a hundred thousand.
func conditionsOf(s Snapshot, p Policy, asked func(*Account) bool) (all []Condition) {
	for n := range s.Accounts {
		a := &s.Accounts[n]
		if a.troubled(s.Now, p) || asked(a) {
			all = append(all, a.failing(s.Now), a.needsLogin(), a.ambiguous(), a.unknownToken(), a.wrongZone(), a.fileShut(), a.loginDue(s.Now, p.LoginDue))
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
	for _, seen := range s.Seen {
		c := seen.condition(s.Now)
		if c.Type == disk.Type && c.key() == disk.key() {
			if disk.State == Off {
				disk = c
			}
			continue
		}
		all = append(all, c)
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

// condition of a trouble that only events told of.
func (s Seen) condition(now time.Time) Condition {
	e := s.Event
	c := Condition{Type: e.Type, Account: e.Account, Provider: e.Provider, Sink: e.Sink, State: On, What: e.Message, Cause: e.Message}
	if of := "account " + e.Account + ": "; e.Account != "" && !strings.HasPrefix(c.What, of) {
		c.What = of + c.What
	}
	well := "nothing more was heard of the trouble with the disk"
	switch e.Type {
	case event.RivalRefresher:
		well = "nothing more was seen of another program that refreshes this grant"
	case event.StoreRestored:
		well = "nothing more was heard of the restored store"
	case event.PlanMended:
		well = "the plan was in order"
	case event.StoreDisplaced:
		well = "nobody has touched the state directory"
	}
	age := now.Sub(s.At)
	switch {
	case s.Over && e.Type == event.DiskTrouble:
		c.State, c.What = Off, diskWell
	case s.Over && e.Type == event.StoreDisplaced:
		c.State, c.What = Off, "the store could be written anew since, and is durable again"
	case s.Over:
		c.State, c.What = Off, fmt.Sprintf("account %s has a token that was made since", e.Account)
	case age >= quiet(e.Type) || age < -clockTolerance:
		c.State, c.What = Off, fmt.Sprintf("%s for %s", well, span(quiet(e.Type)))
	}
	return c
}

// quiet is how long nothing may be seen of a trouble that only events tell of
// before it counts as over.
func quiet(t event.Type) time.Duration {
	switch t {
	case event.RivalRefresher:
		return quietRival
	case event.StoreRestored:
		return quietRestored
	case event.StoreDisplaced:
		return quietDisplaced
	}
	return quietDisk
}
