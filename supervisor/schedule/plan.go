package schedule

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Life is what is known of the life of an account's newest token.
type Life struct {
	Issued time.Time
	// Lifetime of the access token from Issued. 0: nobody knows it. Negative:
	// it was dead before it came.
	Lifetime time.Duration
	// Foreign: it was found somewhere, so that its life may have begun long
	// before Issued.
	Foreign bool
	// Usual is the lifetime that such tokens are known to have; 0: not known.
	Usual time.Duration

	// RefreshEnd is when the refresh token dies; zero: nobody knows. It lives
	// for RefreshLife in all.
	RefreshEnd  time.Time
	RefreshLife time.Duration
	// Sliding: a refresh starts the life of the refresh token anew. Otherwise
	// RefreshEnd stays where it is until somebody logs in.
	Sliding bool
	// Sure: RefreshEnd rests on no guess.
	Sure bool

	// Asked is when the server last answered, or did not; zero: never.
	Asked time.Time
}

// Plan is when an account is to be refreshed. Two bounds are kept apart: the
// end of the access token, and that of the refresh token. Whatever both say,
// the server is not asked again before a pause is over.
type Plan struct {
	// Due is zero if Ended.
	Due time.Time
	// Ended: no refresh can help any more, only a login. The last one was made,
	// or the end of the refresh token is over.
	Ended bool
}

// marginLeast is the least time for a refresh before its refresh token dies.
const marginLeast = 30 * time.Second

// shortestLife is the least that a refresh token is believed to live: what is said to
// live for a nanosecond, and to die in a minute, is refreshed before that.
const shortestLife = 2 * time.Second

// PlanOf says when a token of that life is to be refreshed, as seen from now.
// What nobody knows is due now.
func PlanOf(p Policy, l Life, now time.Time, chance float64) Plan {
	due := accessDue(p, l, chance)
	if due.IsZero() {
		due = now
	}
	last := l.lastRefresh(p)
	if !last.IsZero() {
		switch {
		case l.Sliding:
			due = moment.Earlier(due, last)
		case l.ended(last, now):
			return Plan{Ended: true}
		case l.Issued.Before(last):
			// One that a refresh does not extend gets its last refresh as late
			// as possible, so that consumers have the longest tail.
			due = moment.Earlier(due, last)
		}
	}
	if rest := l.rest(now); due.Before(rest) {
		due = rest
	}
	if !l.Sliding && l.Sure && !l.Foreign && !last.IsZero() && !due.Before(l.RefreshEnd) {
		return Plan{Ended: true} // the pause outlasts it
	}
	return Plan{Due: due}
}

// ended says whether nothing can come of a refresh. A token that was found
// somewhere is tried all the same: nobody knows by which login it came.
func (l Life) ended(last, now time.Time) bool {
	return l.Sure && !l.Foreign && (!l.Issued.Before(last) || !now.Before(l.RefreshEnd))
}

// lastRefresh is the latest time for a refresh before the refresh token dies;
// zero: nobody knows. After one that does not extend the life of the refresh token
// there is none: so it is not earlier than what it brings can outlast.
func (l Life) lastRefresh(p Policy) time.Time {
	margin := p.margin(l.RefreshLife)
	if !l.Sliding && l.Lifetime > 0 && !l.endsWithLogin() {
		margin = min(Allowed(p, l.Lifetime).margin(l.RefreshLife), l.Lifetime-l.Lifetime/4)
	}
	return moment.Add(l.RefreshEnd, -margin)
}

// endsWithLogin says whether the access token ends when the refresh token does, to the
// second in which brokers count. Its Lifetime, cut there, says nothing of what the next
// one would live: the margin that it allows would shrink with each refresh.
func (l Life) endsWithLogin() bool {
	apart := l.RefreshEnd.Sub(moment.Add(l.Issued, l.Lifetime))
	return apart > -time.Second && apart < time.Second
}

// margin is the least time between the last refresh and the end of what it spends,
// which lives so long in all; 0: nobody knows.
func (p Policy) margin(life time.Duration) time.Duration {
	margin := max(p.BeforeExpiry, p.BeforeEnd, marginLeast)
	if life > 0 {
		margin = min(margin, max(life/2, shortestLife/2))
	}
	return margin
}

// Renewing is p for access tokens of that lifetime that are renewed while they live,
// and end their logins with them: BeforeExpiry is when [PlanOf] wants that at the latest.
func (p Policy) Renewing(lifetime time.Duration) Policy {
	p.BeforeExpiry = max(Allowed(p, lifetime).BeforeExpiry, p.margin(lifetime))
	return p
}

// accessDue is when the access token is to be replaced; zero: nobody knows.
// However large BeforeExpiry is, a quarter of the life passes first, so that
// short-lived tokens do not make a busy loop. The life of a token that was found
// somewhere began earlier.
func accessDue(p Policy, l Life, chance float64) time.Time {
	switch {
	case l.Lifetime == 0:
		return time.Time{}
	case l.Lifetime < 0:
		return moment.Known(l.Issued)
	}
	after := l.Lifetime - p.BeforeExpiry
	if p.Every > 0 {
		after = min(after, p.Every)
	}
	// The jitter stays small beside short lifetimes.
	jitter := min(p.Jitter, l.Lifetime/20)
	after -= time.Duration(chance * float64(jitter))
	least := l.Lifetime / 4
	if l.Foreign {
		least = l.Lifetime - max(l.Usual, l.Lifetime)*3/4
	}
	after = max(after, least)
	if p.Budget > 0 {
		// So much earlier at most that this is no other budget.
		after = min(after, p.Budget-time.Duration(chance*float64(min(jitter, p.Budget/10))))
	}
	return moment.Add(l.Issued, after)
}

// Usual is how long after it came an access token of that lifetime is replaced, without
// the budget and by no chance.
func (p Policy) Usual(lifetime time.Duration) time.Duration {
	after := lifetime - p.BeforeExpiry
	if p.Every > 0 {
		after = min(after, p.Every)
	}
	return max(after, lifetime/4)
}

// Idle says that the budget changes nothing for access tokens of that lifetime, in words
// that begin with the option's name; "": it does, or nobody knows.
func Idle(p Policy, lifetime time.Duration) string {
	usual := p.Usual(lifetime)
	if p.Budget <= 0 || lifetime <= 0 || p.Budget < usual {
		return ""
	}
	return fmt.Sprintf("budget: the access token lives %s and is refreshed after %s anyway; one each %s is no more, and changes nothing",
		moment.Span(lifetime), moment.Span(usual), moment.Span(p.Budget))
}

// bornDead is the longest pause between two answers, so that a confused server
// is not hammered.
const bornDead = 10 * time.Second

// rest is until when the server is left alone. If the clock was set back, no
// longer than one pause.
func (l Life) rest(now time.Time) time.Time {
	pause := min(bornDead, max(l.Lifetime/4, retryLeast))
	rest := moment.Add(l.Asked, pause)
	if latest := moment.Add(now, pause); rest.After(latest) {
		return latest
	}
	return rest
}

// Allowed is what of the wishes in the policy holds for a lifetime; all of them
// if that is not known. An Every, or a Budget, that never comes to pass is left out.
func Allowed(p Policy, lifetime time.Duration) Policy {
	if lifetime <= 0 {
		return p
	}
	p.BeforeExpiry = min(p.BeforeExpiry, lifetime-lifetime/4)
	if p.Every > 0 {
		p.Every = max(p.Every, lifetime/4)
	}
	if p.Every >= lifetime-p.BeforeExpiry {
		p.Every = 0
	}
	if p.Budget >= p.Usual(lifetime) {
		p.Budget = 0
	}
	return p
}

// Cut says which of the wishes in the policy a lifetime does not allow, in
// words that begin with the option's name; none: it allows them all.
func Cut(p Policy, lifetime time.Duration) []string {
	if lifetime <= 0 {
		return nil
	}
	latest := max(lifetime-p.BeforeExpiry, lifetime/4)
	var cut []string
	if p.BeforeExpiry > lifetime-lifetime/4 {
		cut = append(cut, fmt.Sprintf("before_expiry %s: the access token lives %s, of which a quarter passes first; it is refreshed %s before it expires",
			p.BeforeExpiry, lifetime, lifetime-lifetime/4))
	}
	switch {
	case p.Every > latest:
		cut = append(cut, fmt.Sprintf("every %s: the access token lives %s; it is refreshed after %s", p.Every, lifetime, latest))
	case p.Every > 0 && p.Every < lifetime/4:
		cut = append(cut, fmt.Sprintf("every %s: the access token lives %s, of which a quarter passes first; it is refreshed after %s",
			p.Every, lifetime, lifetime/4))
	}
	return cut
}
