package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func (p Process) condition(ofProvider, ofSink event.Type) Condition {
	if p.OfSink {
		return Condition{Type: ofSink, Sink: p.Name}
	}
	return Condition{Type: ofProvider, Provider: p.Name}
}

// restart is the command that starts it anew.
func (p Process) restart() string {
	if p.OfSink {
		return "tokenkeeper sinks restart " + p.Name
	}
	return "tokenkeeper restart " + p.Name
}

func (p Process) String() string {
	if p.OfSink {
		return "sink " + p.Name
	}
	return "provider " + p.Name
}

// well says whether the process has run for long enough to count as healthy.
func (p Process) well(now time.Time) bool {
	return p.State == ProcessRunning && now.Sub(p.RunningSince) >= settled
}

// crashing does not end when the process is parked, nor parked when it crashes:
// a trouble that takes the place of another is no recovery.
func (p Process) crashing(now time.Time) Condition {
	c := p.condition(event.ProviderCrashing, event.SinkCrashing)
	switch {
	case p.State == ProcessCrashing:
		c.State = On
		c.What = fmt.Sprintf("%s crashes again and again (%d times since the start) and is started ever more rarely; the last time: %s",
			p, p.Crashes, p.LastError)
		c.Todo = "the log says why; after mending it run: " + p.restart()
	case p.well(now):
		c.State, c.What = Off, fmt.Sprintf("%s runs again", p)
	}
	return c
}

func (p Process) parked(now time.Time) Condition {
	c := p.condition(event.ProviderParked, event.SinkParked)
	switch {
	case p.State == ProcessParked:
		c.State = On
		c.What = fmt.Sprintf("%s can't run: %s", p, p.LastError)
		c.Todo = "then run: " + p.restart()
	case p.well(now):
		c.State, c.What = Off, fmt.Sprintf("%s runs again", p)
	}
	return c
}

// unknownToken is told at once: the destination may hold the only copy of a
// login.
func (k Sink) unknownToken() Condition {
	c := Condition{Type: event.SinkGuarded, Sink: k.Name}
	switch n := len(k.Unknown); {
	case n > 0:
		what, todo, _ := strings.Cut(k.UnknownError, "; ")
		c.State, c.Cause, c.What, c.Todo = On, what, fmt.Sprintf("sink %s: %s", k.Name, what), todo
		if n > 1 {
			c.What += fmt.Sprintf("; so it is with %d of its accounts: %s", n, some(k.Unknown))
		}
	case k.Failing == 0 && k.Lag < sinkPatience && !k.LastDelivery.IsZero():
		c.State, c.What, c.Proof = Off, fmt.Sprintf("sink %s holds no unknown token any more", k.Name), k.LastDelivery
	}
	return c
}

// some names a few of many.
func some(names []string) string {
	const most = 10
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

func (k Sink) failing() Condition {
	k.Failing -= len(k.Unknown) // the other alert says what matters
	c := Condition{Type: event.SinkFailing, Sink: k.Name}
	switch {
	case k.Gone:
		// The other alert says what matters.
	case k.Off:
		c.State, c.What = Off, k.disabledByPerson()
	case k.Failing > 0 && k.Lag >= sinkPatience:
		c.State = On
		c.What = fmt.Sprintf("sink %s has been failing for %s, and misses the newest of %s; the last error: %s",
			k.Name, span(k.Lag), missed(k.Failing), k.LastError)
		c.Todo = k.next()
	case k.Failing == 0 && (k.Lag < sinkPatience || len(k.Unknown) > 0) && !k.LastDelivery.IsZero():
		c.State, c.What, c.Proof = Off, fmt.Sprintf("sink %s takes deliveries again", k.Name), k.LastDelivery
	}
	return c
}

func missed(failing int) string {
	if failing == 1 {
		return "1 account or alert"
	}
	return fmt.Sprintf("%d accounts or alerts", failing)
}

// next is what happens to a sink that fails, and what a person can do.
func (k Sink) next() string {
	again := "; after mending it run: tokenkeeper sinks redeliver " + k.Name
	switch {
	case k.Refused == 0:
		return "it is tried again all the time; after mending it run: tokenkeeper sinks test " + k.Name
	case k.Refused < k.Failing:
		return fmt.Sprintf("it has refused %d of them, of which only the next version is tried; the others are tried again all the time%s", k.Refused, again)
	case k.Failing == 1:
		return "it has refused that version, which is not tried again: the next one is" + again
	}
	return "it has refused these versions, which are not tried again: the next ones are" + again
}

func (k Sink) disabledByPerson() string {
	return fmt.Sprintf("sink %s was disabled by a person, and gets nothing until somebody runs: tokenkeeper sinks enable %s", k.Name, k.Name)
}

func (k Sink) disabled() Condition {
	c := Condition{Type: event.SinkDisabled, Sink: k.Name}
	switch {
	case k.Gone:
		c.State = On
		c.What = fmt.Sprintf("sink %s is disabled: %s", k.Name, k.LastError)
		c.Todo = fmt.Sprintf("correct or remove sinks.%s in the configuration, or run: tokenkeeper sinks enable %s", k.Name, k.Name)
	case k.Off:
		c.State, c.What = Off, k.disabledByPerson()
	case !k.LastDelivery.IsZero():
		c.State, c.What, c.Proof = Off, fmt.Sprintf("sink %s takes deliveries again", k.Name), k.LastDelivery
	}
	return c
}
