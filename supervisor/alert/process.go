package alert

import (
	"fmt"
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

func (k Sink) failing() Condition {
	c := Condition{Type: event.SinkFailing, Sink: k.Name}
	switch {
	case k.Gone, k.Off:
	case k.Failing > 0 && k.Lag >= sinkPatience:
		c.State = On
		c.What = fmt.Sprintf("sink %s has been failing for %s, and misses the newest of %s; the last error: %s",
			k.Name, span(k.Lag), missed(k.Failing), k.LastError)
		c.Todo = fmt.Sprintf("it is tried again all the time; after mending it run: tokenkeeper sinks test %s", k.Name)
	case k.Failing == 0 && k.Lag < sinkPatience && !k.LastDelivery.IsZero():
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

func (k Sink) disabled() Condition {
	c := Condition{Type: event.SinkDisabled, Sink: k.Name}
	switch {
	case k.Gone:
		c.State = On
		c.What = fmt.Sprintf("sink %s is disabled: %s", k.Name, k.LastError)
		c.Todo = fmt.Sprintf("correct or remove sinks.%s in the configuration, or run: tokenkeeper sinks enable %s", k.Name, k.Name)
	case k.Off:
		c.State, c.What = Off, fmt.Sprintf("a person has disabled sink %s", k.Name)
	case !k.LastDelivery.IsZero():
		c.State, c.What, c.Proof = Off, fmt.Sprintf("sink %s takes deliveries again", k.Name), k.LastDelivery
	}
	return c
}
