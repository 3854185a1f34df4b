package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func (a Account) condition(t event.Type) Condition {
	return Condition{Type: t, Account: a.Name, Provider: a.Provider}
}

// troubled is false only if no condition of the account is On.
func (a *Account) troubled(now time.Time, p Policy) bool {
	return a.NeedsLogin || a.Failures > 0 || a.Asked != "" || a.Zone != "" || a.Shut != "" || a.LoginUnknown || !a.AmbiguousSince.IsZero() ||
		(p.LoginDue > 0 && !a.RefreshExpiry.IsZero() && a.RefreshExpiry.Sub(now) <= p.LoginDue)
}

// well is the end of a trouble that only a new token ends. Whether one came is
// known if that was in this run; after a restart, the failures of an attempt
// that was never settled may be forgotten, and so the token must be newer than
// the alert.
func (a Account) well(c Condition, what string) Condition {
	c.State, c.What = Off, what
	if !a.Renewed {
		c.Proof = a.StoredAt
	}
	return c
}

// cause is the last error without the account's name and without what the alert
// says itself of the next step.
func (a Account) cause() string {
	text := strings.TrimPrefix(a.LastError, "account "+a.Name+": ")
	for _, advice := range []string{"; it will be tried again", ": unless a newer token turns up, someone must log in again"} {
		text = strings.TrimSuffix(text, advice)
	}
	return text
}

func (a Account) ends() string { return moment.Ends(a.Expiry, a.ExpiryUncertain) }

// startAgain is how a change of the configuration comes into use.
const startAgain = "then stop tokenkeeper and start it again (\"tokenkeeper restart\" alone keeps the configuration that it has)"

func (a Account) failing(now time.Time) Condition {
	c := a.condition(event.RefreshFailing)
	switch {
	case a.StoredAt.IsZero(), a.NeedsLogin:
		// The other alert says what matters.
	case a.Failures > 0 && a.excused(now):
	case a.Failures > 0 && a.Misconfigured:
		c.State, c.Cause = On, a.cause()
		c.What = fmt.Sprintf("account %s can't be refreshed: the broker refuses the client's credentials or settings (%s); its access token %s",
			a.Name, a.cause(), a.ends())
		c.Todo = fmt.Sprintf("correct accounts.%s in the configuration, "+startAgain, a.Name)
	case a.Failures > 0 && a.Failures >= a.MaxFailures:
		c.State, c.Cause = On, a.cause()
		c.What = fmt.Sprintf("account %s: %d refreshes in a row have failed; its access token %s; the last error: %s",
			a.Name, a.Failures, a.ends(), a.cause())
		c.Todo = "it is tried again all the time; look at the network and at the broker's status page; to try at once, run: tokenkeeper refresh " + a.Name
	case a.Failures == 0 && a.AmbiguousSince.IsZero():
		return a.well(c, fmt.Sprintf("account %s is refreshed again", a.Name))
	}
	return c
}

// unknownToken is a refresh token in the shared file that nobody here knows.
func (a Account) unknownToken() Condition {
	c := a.condition(event.UnknownToken)
	switch {
	case a.Asked != "":
		c.State, c.Cause = On, a.Asked
		c.What = fmt.Sprintf("account %s is not refreshed until somebody decides: %s; its access token %s", a.Name, a.Asked, a.ends())
		c.Todo = a.Ways
	default: // what is in the file may not have been looked at since the start
		return a.well(c, fmt.Sprintf("account %s goes on, and no unknown token stands in its shared file any more", a.Name))
	}
	return c
}

func (a Account) wrongZone() Condition {
	c := a.condition(event.WrongZone)
	switch {
	case a.Zone != "":
		c.State, c.Cause = On, a.Zone
		c.What = fmt.Sprintf("account %s, its shared file: %s", a.Name, a.Zone)
		c.Todo = fmt.Sprintf("set accounts.%s.shared_file.timezone to the zone of the programs that write the file, "+startAgain, a.Name)
	default:
		return a.well(c, fmt.Sprintf("account %s: the times in its shared file can be right", a.Name))
	}
	return c
}

// fileShut is a shared file whose lock somebody holds, or that is refused.
func (a Account) fileShut() Condition {
	c := a.condition(event.SharedFileHeld)
	switch {
	case a.Shut != "":
		c.State, c.Cause = On, a.Shut
		c.What = fmt.Sprintf("account %s is not refreshed: %s; its access token %s", a.Name, a.Shut, a.ends())
		c.Todo = "it is tried again all the time; to try at once, run: tokenkeeper refresh " + a.Name
	default:
		return a.well(c, fmt.Sprintf("account %s: its shared file is locked by nobody else for long", a.Name))
	}
	return c
}

func (a Account) needsLogin() Condition {
	c := a.condition(event.NeedsLogin)
	switch {
	case a.StoredAt.IsZero():
	case a.NeedsLogin:
		c.State, c.Cause = On, a.cause()
		c.What = fmt.Sprintf("account %s needs a login: %s; its access token %s", a.Name, a.cause(), a.ends())
		c.Todo = "log in with: tokenkeeper login " + a.Name
	default:
		return a.well(c, fmt.Sprintf("account %s is logged in again", a.Name))
	}
	return c
}

func (a Account) ambiguous() Condition {
	c := a.condition(event.Ambiguous)
	switch {
	case !a.AmbiguousSince.IsZero():
		c.State = On
		c.What = fmt.Sprintf("account %s: nobody knows whether the broker has used up its refresh token in the attempt of %s",
			a.Name, moment.Stamp(a.AmbiguousSince))
		if a.Unread != "" {
			c.What += fmt.Sprintf("; the answer came, nobody could read it, and it is kept in %s; its access token %s", a.Unread, a.ends())
			c.Todo = fmt.Sprintf("look at it with: tokenkeeper spool; if nothing can be made of it, send the same token now with: tokenkeeper refresh %s --force; "+
				"or log in with: tokenkeeper login %[1]s; when it is sent by itself, tokenkeeper status says (NEXT)", a.Name)
			return c
		}
		c.Todo = fmt.Sprintf("when the same token is sent again, tokenkeeper status says (NEXT); to be on the safe side, log in with: tokenkeeper login %s", a.Name)
	case a.StoredAt.IsZero():
	case a.NeedsLogin:
		c.State, c.What = Off, fmt.Sprintf("account %s: the broker has refused the refresh token of that attempt, and so needs a login", a.Name)
	default:
		return a.well(c, fmt.Sprintf("account %s: it is not in doubt any more which refresh token is its newest", a.Name))
	}
	return c
}

func (a Account) loginDue(now time.Time, before time.Duration) Condition {
	c := a.condition(event.LoginDueSoon)
	left := a.RefreshExpiry.Sub(now)
	switch {
	case before <= 0:
		c.State, c.What = Off, "nobody wants to be told before a login ends"
	case a.StoredAt.IsZero(), a.NeedsLogin, !a.PolicyKnown:
	case a.Sliding || a.RefreshExpiry.IsZero():
		c.State, c.What = Off, fmt.Sprintf("account %s: no end of the login is known", a.Name)
	case left > before:
		c.State, c.What = Off, fmt.Sprintf("account %s is logged in until %s", a.Name, moment.Stamp(a.RefreshExpiry))
	default:
		c.State = On
		when := "ends " + moment.Stamp(a.RefreshExpiry) + ", in " + span(left)
		if left <= 0 {
			when = "has ended " + moment.Stamp(a.RefreshExpiry)
		}
		if a.Uncertain {
			when += " or earlier, because nobody knows exactly when it began"
		}
		c.What = fmt.Sprintf("the login of account %s %s", a.Name, when)
		c.Todo = "log in before that with: tokenkeeper login " + a.Name
		if left <= 0 {
			c.Todo = "log in with: tokenkeeper login " + a.Name
		}
	}
	return c
}

// loginUnknown is told once, and long before anything is lost: a person can look
// up when the login was made.
func (a Account) loginUnknown(before time.Duration) Condition {
	c := a.condition(event.LoginUnknown)
	switch {
	case before <= 0:
		c.State, c.What = Off, "nobody wants to be told before a login ends"
	case a.LoginUnknown && !a.NeedsLogin:
		c.State = On
		c.What = fmt.Sprintf("account %s: its login ends a fixed time after it was made, and nobody knows when that was: it can't be told before it ends", a.Name)
		c.Todo = fmt.Sprintf("say when it was with: tokenkeeper import %s --login-time TIME; or log in anew with: tokenkeeper login %[1]s", a.Name)
	case a.StoredAt.IsZero(), !a.PolicyKnown:
	default:
		c.State, c.What = Off, fmt.Sprintf("account %s: it is known whether and when its login ends, or it has ended", a.Name)
	}
	return c
}
