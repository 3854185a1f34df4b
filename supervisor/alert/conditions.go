package alert

import (
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
	// Group: it is of so many Accounts at the Provider. Grouped: a group alert
	// stands for it, so that it is neither raised nor repeated.
	Group, Grouped bool
	Accounts       int
}

// everything is the subject of what concerns no account, provider or sink.
const everything = "*"

// Key is the name of an alert: its type and what it concerns, one of the three
// names or none.
func Key(t event.Type, account, provider, sink string) string {
	subject := everything
	switch {
	case account != "":
		subject = account
	case provider != "":
		subject = provider
	case sink != "":
		subject = sink
	}
	return string(t) + ":" + subject
}

func (c Condition) key() string {
	if c.Group {
		return groupKey(c.Type, c.Provider)
	}
	return Key(c.Type, c.Account, c.Provider, c.Sink)
}

// conditions gathers them by key.
type conditions map[string]Condition

func (cs conditions) add(c Condition) { cs[c.key()] = c }

// Conditions says for everything in the snapshot which troubles it has. One
// that is not in the answer is not a matter of this configuration any more.
func Conditions(s Snapshot, p Policy) map[string]Condition {
	return conditionsOf(s, p, func(*Account) bool { return true })
}

// conditionsOf leaves out the accounts that are well and of which nobody asks:
// almost all of a hundred thousand.
func conditionsOf(s Snapshot, p Policy, asked func(*Account) bool) conditions {
	cs := conditions{}
	for n := range s.Accounts {
		a := &s.Accounts[n]
		if !a.troubled(s.Now, p) && !asked(a) {
			continue
		}
		cs.add(a.failing())
		cs.add(a.needsLogin())
		cs.add(a.ambiguous())
		cs.add(a.unknownToken())
		cs.add(a.wrongZone())
		cs.add(a.fileShut())
		cs.add(a.loginDue(s.Now, p.LoginDue))
	}
	for _, proc := range s.Processes {
		cs.add(proc.crashing(s.Now))
		cs.add(proc.parked(s.Now))
	}
	for _, l := range s.Loads {
		cs.add(l.overload())
	}
	for _, k := range s.Sinks {
		cs.add(k.failing())
		cs.add(k.unknownToken())
		cs.add(k.disabled())
	}
	for key, seen := range s.Seen {
		cs[key] = seen.condition(s.Now)
	}
	cs.disk(s.StoreFault)
	cs.add(s.otherMachine())
	return cs
}

// disk adds the fault of the store, which needs no event.
func (cs conditions) disk(fault string) {
	c := Condition{Type: event.DiskTrouble, State: Off, What: diskWell}
	if fault != "" {
		c.State = On
		c.What = "nothing can be stored, and so no refresh token is spent: " + fault
		c.Todo = "check the disk of the state directory; it is tried again all the time"
	} else if _, seen := cs[c.key()]; seen {
		return
	}
	cs.add(c)
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
	case event.StoreRestored, event.StoreDisplaced:
		return quietRestored
	}
	return quietDisk
}

// span is a duration for people: no more than two of its units.
func span(d time.Duration) string {
	d = max(d, 0)
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}
