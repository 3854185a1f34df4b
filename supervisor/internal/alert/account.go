package alert

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func (a *Account) condition(t event.Type) Condition {
	return Condition{Type: t, Account: a.Name, Provider: a.Provider}
}

// until is a condition that a token ends which a person gives the account.
func (a *Account) until(c Condition) Condition {
	c.Needs = cmp.Or(a.By.Means, advice.Login)
	return c
}

// instead is how a person gives it another token than the one that stands.
func (a *Account) instead() advice.Token {
	t := a.By
	t.Stands = true
	return t
}

// troubled is false only if no condition of the account is On.
func (a *Account) troubled(now time.Time, p Policy) bool {
	return a.NeedsLogin || a.Failures > 0 || a.Pause != "" || a.Session.State > SessionAlive || a.Session.Unheard != "" || a.Outage.Short > 0 || a.Asked != "" || a.Zone != "" || a.Shut != "" || a.Waits != "" || a.GrantedElsewhere != "" || a.LoginUnknown ||
		!a.AmbiguousSince.IsZero() || (p.LoginDue > 0 && !a.RefreshExpiry.IsZero() && a.RefreshExpiry.Sub(now) <= p.LoginDue)
}

// well is the end of a trouble that only a new token ends. Whether one came is
// known if that was in this run; after a restart, the failures of an attempt
// that was never settled may be forgotten, and so the token must be newer than
// the alert.
func (a *Account) well(c Condition) Condition {
	if !a.Renewed {
		c.Proof = a.StoredAt
	}
	return c.off("")
}

// cause is the last error without the account's name and without what the alert
// says itself of the next step.
func (a *Account) cause() string {
	text := strings.TrimPrefix(a.LastError, "account "+a.Name+": ")
	for _, advice := range []string{"; it will be tried again", ": unless a newer token turns up, someone must log in again"} {
		text = strings.TrimSuffix(text, advice)
	}
	return text
}

func (a *Account) ends(now time.Time) string { return moment.Ends(a.Expiry, now, a.ExpiryUncertain) }

// token says how the access token is that consumers have.
func (a *Account) token(now time.Time) string {
	if a.StoredAt.IsZero() {
		return "it has no token yet"
	}
	return "its access token " + a.ends(now)
}

// acts names what has failed, as many.
func (a *Account) acts() string {
	switch act := cmp.Or(a.Act, "refresh"); act {
	case "refresh":
		return "refreshes"
	default:
		return act + "s"
	}
}

// untried says whether nothing is known of the account's attempts: it has no token, and
// can't get one by itself, or has not failed to.
func (a *Account) untried() bool {
	return a.StoredAt.IsZero() && !(a.Mints && (a.NeedsLogin || a.Failures > 0))
}

// readAgain is how a change of the configuration comes into use.
const readAgain = "then run: tokenkeeper reload (what ${env:…} gives changes with a restart of the service alone)"

func (a *Account) failing(now time.Time) Condition {
	c := a.condition(event.RefreshFailing)
	switch {
	case a.untried(), a.Undecided:
	case a.By.Means == advice.Key:
		return c.off(fmt.Sprintf("account %s: refreshing it is over, because the broker refuses its key", a.Name))
	case a.NeedsLogin:
		return c.off(fmt.Sprintf("account %s: refreshing it is over, because it needs %s", a.Name, a.By.Needs()))
	case a.Unread != "":
		return c.off(fmt.Sprintf("account %s: it is not tried again, because an answer came that nobody could read", a.Name))
	case a.Pause != "":
		return c.off(fmt.Sprintf("account %s is %s: it is not tried again meanwhile", a.Name, a.Pause))
	case a.Failures > 0 && a.excused(now):
	case a.Failures > 0 && a.Misconfigured:
		return c.on(a.cause(), fmt.Sprintf("account %s can't be refreshed: the broker refuses the client's credentials or settings (%s); %s",
			a.Name, a.cause(), a.token(now)), fmt.Sprintf("correct accounts.%s in the configuration, "+readAgain, a.Name))
	case a.Failures > 0 && a.Failures >= a.MaxFailures:
		return c.on(a.cause(), fmt.Sprintf("account %s: %d %s in a row have failed; %s%s",
			a.Name, a.Failures, a.acts(), a.token(now), lastError(a.cause())),
			"it is tried again all the time; look at the network and at the broker's status page; to try at once, run: tokenkeeper refresh "+a.Name)
	case a.Failures == 0 && a.AmbiguousSince.IsZero():
		return a.well(c)
	}
	return c
}

// unknownToken is a refresh token in the shared file that nobody here knows.
// What is in the file may not have been looked at since the start.
func (a *Account) unknownToken(now time.Time) Condition {
	c := a.condition(event.UnknownToken)
	if a.Asked == "" {
		return a.well(c)
	}
	return c.on(a.Asked, fmt.Sprintf("account %s is not refreshed until somebody decides: %s; %s", a.Name, a.Asked, a.token(now)), a.Ways)
}

// loginWaits is the login of another person.
func (a *Account) loginWaits() Condition {
	c := a.condition(event.LoginWaits)
	if a.Waits == "" {
		return c.off("")
	}
	return c.on(a.Waits, fmt.Sprintf("account %s: %s", a.Name, a.Waits), a.WaitsFor)
}

// grantedElsewhere is a token that the configuration keeps from being sent.
func (a *Account) grantedElsewhere(now time.Time) Condition {
	c := a.condition(event.GrantedElsewhere)
	if a.GrantedElsewhere == "" {
		return c.off("")
	}
	return a.until(c).on(a.GrantedElsewhere, fmt.Sprintf("account %s is not refreshed, and its access token %s: %s", a.Name, a.ends(now), a.GrantedElsewhere), "")
}

// wrongZone are local times in the shared file, or in a sink's, that can't be right.
func (a *Account) wrongZone() Condition {
	c := a.condition(event.WrongZone)
	if a.Zone == "" {
		return a.well(c)
	}
	file, key := "shared file", "accounts."+a.Name+".shared_file"
	if a.ZoneSink != "" {
		file, key = "file of sink "+a.ZoneSink, "sinks."+a.ZoneSink
	}
	return c.on(a.Zone, fmt.Sprintf("account %s, its %s: %s", a.Name, file, a.Zone),
		fmt.Sprintf("set %s.timezone to the zone of the programs that write the file, "+readAgain, key))
}

// fileShut is a shared file whose lock somebody holds, or that is refused.
func (a *Account) fileShut(now time.Time) Condition {
	c := a.condition(event.SharedFileHeld)
	if a.Shut == "" {
		return a.well(c)
	}
	return c.on(a.Shut, fmt.Sprintf("account %s is not refreshed: %s; its access token %s", a.Name, a.Shut, a.ends(now)),
		"it is tried again all the time; to try at once, run: tokenkeeper refresh "+a.Name)
}

func (a *Account) needsLogin(now time.Time) Condition {
	c := a.condition(event.NeedsLogin)
	switch {
	case a.StoredAt.IsZero() && !a.NeedsLogin, a.StoredAt.IsZero() && !a.Mints, a.Undecided:
		return c
	case a.By.Means == advice.Key:
		return a.until(c).on(a.cause(), fmt.Sprintf("account %s: the broker refuses the key from which its tokens are minted: %s; %s", a.Name, a.cause(), a.token(now)), a.By.With(""))
	case a.NeedsLogin && a.Ended != "":
		what := fmt.Sprintf("account %s needs %s: %s", a.Name, a.By.Needs(), a.Ended)
		if a.Failures > 0 {
			what += fmt.Sprintf(", and every try to refresh it in time has failed, the last one so: %s", a.cause())
		}
		todo := a.By.With("")
		if a.Pause != "" {
			what += ", while it was " + a.Pause
			todo += "; " + paused{a}.resume()
		}
		c.Unannounced = true
		return a.until(c).on(a.Ended, what+"; its access token "+a.ends(now), todo)
	case a.NeedsLogin:
		return a.until(c).on(a.cause(), fmt.Sprintf("account %s needs %s: %s; its access token %s", a.Name, a.By.Needs(), a.cause(), a.ends(now)), a.By.With(""))
	case a.Session.State == SessionAlive, a.Session.State == SessionCompeting:
		return c.off("") // also of the token of which the broker had said that its session was over
	}
	c = a.well(c)
	if a.Mints || a.By.Means == advice.Import {
		c.What = fmt.Sprintf("account %s has a token that works again", a.Name)
	}
	return c
}

func (a *Account) ambiguous(now time.Time) Condition {
	c := a.condition(event.Ambiguous)
	const doubt = "account %s: nobody knows whether the broker has used up its %s in the attempt of %s"
	switch {
	case !a.AmbiguousSince.IsZero() && a.Unread != "":
		return c.on("", fmt.Sprintf(doubt+"; the answer came, nobody could read it, and it is kept in %s; its access token %s",
			a.Name, a.Spent, moment.Stamp(a.AmbiguousSince), a.Unread, a.ends(now)),
			fmt.Sprintf("look at it with: tokenkeeper spool; if nothing can be made of it, send the same token now with: tokenkeeper refresh %s --force; "+
				"or %s; when it is sent by itself, tokenkeeper status says (NEXT)", a.Name, a.instead().With("")))
	case !a.AmbiguousSince.IsZero():
		return c.on("", fmt.Sprintf(doubt, a.Name, a.Spent, moment.Stamp(a.AmbiguousSince)), "when the same token is sent again, tokenkeeper status says (NEXT); to be on the safe side, "+a.instead().With(""))
	case a.StoredAt.IsZero(), a.Undecided:
		return c
	case a.NeedsLogin && a.Ended != "":
		return c.off(fmt.Sprintf("account %s: that attempt matters no more, because its login has ended, and so it needs %s", a.Name, a.By.Needs()))
	case a.NeedsLogin:
		return c.off(fmt.Sprintf("account %s: the broker has refused the token of that attempt, and so it needs %s", a.Name, a.By.Needs()))
	}
	return a.well(c)
}

// untold is why nobody is told of the ends of logins.
const untold = "nobody wants to be told before a login ends"

// shortShare is the part of a login's life in which it is told that it ends, if all of
// it is shorter than the time before the end at which people want to know.
const shortShare = 4

func (a *Account) loginDue(now time.Time, before time.Duration) Condition {
	c := a.condition(event.LoginDueSoon)
	left := a.RefreshExpiry.Sub(now)
	if a.LoginLife > 0 && a.LoginLife <= before {
		before = a.LoginLife / shortShare
	}
	switch {
	case before <= 0:
		return c.off(untold)
	case a.StoredAt.IsZero(), a.Undecided:
		return c
	case a.NeedsLogin:
		return c.off(fmt.Sprintf("account %s: its login is over, and so it needs %s now", a.Name, a.By.Needs()))
	case !a.PolicyKnown:
		return c
	case a.Sliding || a.RefreshExpiry.IsZero():
		return c.off(fmt.Sprintf("account %s: no end of the login is known", a.Name))
	case left > before:
		return c.off(fmt.Sprintf("account %s is logged in until %s", a.Name, moment.Stamp(a.RefreshExpiry)))
	}
	when, todo := moment.Ends(a.RefreshExpiry, now, false), a.instead().With("before that")
	if left <= 0 {
		todo = a.By.With("")
	}
	if a.Uncertain {
		when += " or earlier, because nobody knows exactly when it began"
	}
	return a.until(c).on("", fmt.Sprintf("the login of account %s %s", a.Name, when), todo)
}

// loginUnknown is told once, and long before anything is lost: a person can look
// up when the login was made.
func (a *Account) loginUnknown(before time.Duration) Condition {
	c := a.condition(event.LoginUnknown)
	switch {
	case before <= 0:
		return c.off(untold)
	case a.LoginUnknown && !a.NeedsLogin:
		return c.on("", fmt.Sprintf("account %s: its login ends a fixed time after it was made, and nobody knows when that was: it can't be told before it ends", a.Name),
			fmt.Sprintf("say when it was with: tokenkeeper import %s --login-time TIME; or %s", a.Name, a.instead().With("anew")))
	case a.StoredAt.IsZero(), !a.PolicyKnown:
		return c
	}
	return c.off("")
}
