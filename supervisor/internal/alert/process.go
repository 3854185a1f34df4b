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
		return c.on("", fmt.Sprintf("%s crashes again and again (%d times since the start) and is started ever more rarely; the last time: %s",
			p, p.Crashes, p.LastError), "the log says why; after mending it run: "+p.restart())
	case p.well(now):
		return c.off("")
	}
	return c
}

func (p Process) parked(now time.Time) Condition {
	c := p.condition(event.ProviderParked, event.SinkParked)
	switch {
	case p.State == ProcessParked:
		return c.on("", fmt.Sprintf("%s can't run: %s", p, p.LastError), "then run: "+p.restart())
	case p.well(now):
		return c.off("")
	}
	return c
}

func (l Load) overload() Condition {
	c := Condition{Type: event.Overload, Provider: l.Provider}
	switch {
	case l.Overloaded && l.Excused:
	case l.Overloaded:
		who := some(l.Waiting)
		if more := l.Overdue - len(l.Waiting); more > 0 {
			who += fmt.Sprintf(" and %d more", more)
		}
		cause := fmt.Sprintf("provider %s has more accounts due than it can refresh in time", l.Provider)
		return c.on(cause, fmt.Sprintf("%s: %s. Since %s these wait: %s", cause, l.Rates, l.Since.UTC().Format("2006-01-02 15:04:05 UTC"), who), l.Remedy)
	case l.Well:
		return c.off("")
	}
	return c
}
