package alert

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// paused is an account that a person may have paused.
type paused struct{ *Account }

// resume is how it goes on.
func (a paused) resume() string { return "to let it go on, run: tokenkeeper resume " + a.Name }

// pausedLong is how long an account may be paused where nobody knows when its access token
// ends. Few brokers' tokens live longer.
const pausedLong = 24 * time.Hour

// forgotten is a paused account whose access token is over, so that its consumers
// stand still, or may be by now, or whose login ends before long because nothing is refreshed: whoever has
// paused it has forgotten that, perhaps. Of a login that ends anyway [Account.loginDue] tells.
func (a paused) forgotten(now time.Time, before time.Duration) Condition {
	c := a.condition(event.PauseForgotten)
	switch {
	case a.Pause == "":
		return c.off("account " + a.Name + " is not paused any more")
	case a.NeedsLogin:
		return c.off(fmt.Sprintf("account %s needs %s, whether it is paused or not", a.Name, a.By.Needs()))
	case !a.Expiry.IsZero() && !a.Expiry.After(now):
		return c.on(a.Pause, fmt.Sprintf("account %s is %s, and its access token %s", a.Name, a.Pause, a.ends(now)), a.resume())
	case a.Expiry.IsZero() && !a.StoredAt.IsZero() && now.Sub(a.PausedSince) >= pausedLong:
		return c.on(a.Pause, fmt.Sprintf("account %s is %s, and nobody knows whether its access token has ended meanwhile", a.Name, a.Pause), a.resume())
	case a.Sliding && !a.RefreshExpiry.IsZero() && a.RefreshExpiry.Sub(now) <= a.lead(before):
		return c.on(a.Pause, fmt.Sprintf("account %s is %s, and its login, which each refresh would put off, %s",
			a.Name, a.Pause, moment.Ends(a.RefreshExpiry, now, a.Uncertain)), a.resume())
	}
	return c.off("")
}

// lead is how long before the end of its login a paused account is told of: a part of
// the time for which that would live without a refresh, and no earlier than people want to
// know of the ends of logins.
func (a paused) lead(before time.Duration) time.Duration {
	lead := a.RefreshExpiry.Sub(a.StoredAt) / shortShare
	if before > 0 {
		lead = min(lead, before)
	}
	return lead
}
