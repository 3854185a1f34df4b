package alert

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Load is how the accounts of one provider stand to what may be in flight.
type Load struct {
	Provider string
	// Overloaded: accounts wait for room in flight, longer than they may, since
	// Since. Well: none waits.
	Overloaded, Well bool
	Since            time.Time
	// Overdue accounts wait; Waiting are some of them.
	Overdue int
	Waiting []string
	// Excused: it is the broker's time of maintenance.
	Excused bool
	// Rates says what is needed and what is possible, and Remedy what to do.
	Rates, Remedy string
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
		c.State = On
		c.Cause = fmt.Sprintf("provider %s has more accounts due than it can refresh in time", l.Provider)
		c.What = fmt.Sprintf("%s: %s. Since %s these wait: %s", c.Cause, l.Rates, l.Since.UTC().Format("2006-01-02 15:04:05 UTC"), who)
		c.Todo = l.Remedy
	case l.Well:
		c.State, c.What = Off, fmt.Sprintf("every account of provider %s is refreshed in time again", l.Provider)
	}
	return c
}
