package alert

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// goneFor is how long a session may be gone before a person is told: so long the
// next token may take, which is asked for at once.
const goneFor = time.Minute

// sessionCompeting is a session that somebody else has taken, the account's owner for
// example, who would be thrown out if it were taken back.
func (a *Account) sessionCompeting() Condition {
	c := a.condition(event.SessionCompeting)
	switch a.Session.State {
	case SessionUnknown:
		return c
	case SessionNone:
		return c.off(a.unwatched())
	case SessionCompeting:
		return c.on("", fmt.Sprintf("account %s: another login has had its session since %s, and what its consumers ask of the broker may fail",
			a.Name, moment.Stamp(a.Session.Since)), "end that other login; nothing is taken back by itself")
	case SessionGone:
		text := fmt.Sprintf("account %s: the broker says no more that another login has its session, but that it is over", a.Name)
		if a.NeedsLogin {
			text += ", and so it needs " + a.By.Needs()
		}
		return c.off(text)
	}
	return c.off("")
}

// sessionGone is a session that stays gone. Where only a login helps, that is told
// instead.
func (a *Account) sessionGone(now time.Time) Condition {
	c := a.condition(event.SessionGone)
	switch {
	case a.Session.State == SessionUnknown:
		return c
	case a.Session.State == SessionNone:
		return c.off(a.unwatched())
	case a.Session.State == SessionGone && a.NeedsLogin:
		return c.off(fmt.Sprintf("account %s: its session is not waited for any more, because it needs %s", a.Name, a.By.Needs()))
	case a.Session.State == SessionGone && now.Sub(a.Session.Since).Abs() < goneFor:
		return c
	case a.Session.State == SessionGone:
		return a.until(c).on("", fmt.Sprintf("account %s: by the broker's word the session of its token has been over since %s, and the next token does not come or does not help",
			a.Name, moment.Stamp(a.Session.Since)), "see why with: tokenkeeper status; a new session may need "+a.By.Needs()+": "+a.instead().Command())
	}
	return c.off("")
}

// sessionUnheard is a session of which nobody knows how it is.
func (a *Account) sessionUnheard(now time.Time) Condition {
	c := a.condition(event.SessionUnheard)
	switch {
	case a.Session.Unheard != "" && now.Before(a.Maintenance):
		return c
	case a.Session.Late:
		return c.on(a.Session.Unheard, fmt.Sprintf("account %s: its session may die of idleness: %s", a.Name, a.Session.Unheard),
			"spread the accounts over several machines, or see why answers take that long")
	case a.Session.Unheard != "":
		return c.on(a.Session.Unheard, fmt.Sprintf("account %s: the calls that keep its session alive fail, and it may die of idleness; the last one: %s",
			a.Name, a.Session.Unheard), "it is tried again all the time; look at the network and at the broker's status page")
	case a.Session.State == SessionUnknown:
		return c
	case a.Session.State == SessionNone:
		return c.off(a.unwatched())
	}
	return c.off("")
}

// unwatched is the end of what was told of a session that nobody asks for any more.
func (a *Account) unwatched() string {
	return fmt.Sprintf("account %s: its session is not watched any more: its token is dead or refused, or the provider needs no calls", a.Name)
}
