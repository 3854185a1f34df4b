package alert

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// budget is that a's consumers would be without a token sooner than planned, if no more
// came. Where the refreshes themselves fail, that is told instead.
func (o Outage) budget(a *Account, now time.Time) Condition {
	c := a.condition(event.OutageBudget)
	switch {
	case a.NeedsLogin:
	case o.Well:
		return c.off("")
	case a.MaxFailures > 0 && a.Failures >= a.MaxFailures, a.Failures > 0 && a.excused(now):
	case o.Behind && now.Sub(a.StoredAt).Abs() < underWay: // the first one after an outage, perhaps
	case o.Short >= outagePatience:
		return c.on("", fmt.Sprintf("account %s: %s, and at least %s is planned%s", a.Name, o.rest(), moment.Span(o.Planned), o.behind()), o.todo(a.Name))
	}
	return c
}

// rest says for how long they go on.
func (o Outage) rest() string {
	if o.Left <= 0 {
		return "its consumers have no token that is valid"
	}
	return fmt.Sprintf("its consumers have a valid token for %s, until %s, if no more comes", moment.Span(o.Left), moment.Stamp(o.Until))
}

func (o Outage) behind() string {
	if !o.Behind {
		return ""
	}
	return fmt.Sprintf("; sink %s lacks the newest one", o.Sink)
}

func (o Outage) todo(account string) string {
	if o.Behind {
		return "see why with: tokenkeeper sinks; after mending it run: tokenkeeper sinks test " + o.Sink
	}
	return "see why no newer one comes: tokenkeeper status " + account
}
