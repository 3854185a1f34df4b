package refresh

import (
	mathrand "math/rand/v2"
	"time"

	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// planIdle plans the accounts that nobody is at work on: whoever is does it in the
// end. The caller holds k.mu.
func (k *Keeper) planIdle(accounts ...*account) {
	for _, a := range accounts {
		a.ifIdle(func(a *leased) { a.replan() })
	}
}

// plan puts the account at its due time, or out of the heap if only a person
// can help it; a shared file that changes is looked at all the same. It returns
// the due time; zero: it is not due by itself.
func (a *leased) replan() time.Time {
	now := a.keeper.clock.Now()
	a.weigh()
	if does := a.state().AtTurn(); does == acct.Repeat || does == acct.Compare {
		return a.resumeAt(now)
	}
	kept := a.kept(now.Wall)
	a.pauseFor(promise.None, "")
	if a.share != nil && !a.stored() && a.rec().Key == "" { // with a key it looks there before it mints
		a.dueAt(now.Wall, now) // its first token may be there
		return now.Wall
	}
	if a.rec().NeedsLogin() || a.state().IsCut() || a.withheld() != "" {
		a.notDue()
		return time.Time{}
	}
	due := a.dueOf(now.Wall)
	if due.IsZero() {
		a.notDue()
		return due
	}
	if a.rec().Health.Failures > 0 && due.After(now.Wall) {
		a.pauseFor(promise.BackOff, "") // the broker was asked just now
	}
	if due.Before(kept.at) {
		due = kept.at
		a.pauseFor(kept.reason, kept.text)
	}
	if due.Before(a.wish.notBefore) {
		due = a.wish.notBefore
	}
	due = a.behindLogin(limited{a.account}.behind(due, now), now.Wall)
	a.dueAt(due, now)
	return due
}

// dueOf is when something can be done by itself for an account that needs no login; zero: only a person can.
func (a *leased) dueOf(now time.Time) time.Time {
	if e := a.state().Elsewhere(); e != nil {
		return e.Until
	}
	if a.state().Ambiguous() != nil {
		return unknown{a}.until()
	}
	if a.mintsAtOnce(now) {
		return now
	}
	if a.rec().Way == store.WayLogin {
		return time.Time{}
	}
	p := a.planOf(now)
	if (p.Ended || a.died(now)) && !a.state().IsAnswered() {
		return time.Time{}
	}
	return p.Due
}

// planOf asks the plan what the account's token needs.
func (a *account) planOf(now time.Time) schedule.Plan {
	l := a.lifeOf()
	if l.Issued.After(now.Add(driftTolerated)) {
		// The clock has been set back since the token came, so nobody knows
		// how old it is.
		l.Lifetime = 0
	}
	return schedule.PlanOf(a.policyOf(), l, now, mathrand.Float64())
}

func (a *account) lifeOf() schedule.Life {
	t := a.rec().Token
	l := schedule.Life{Issued: t.IssuedAt, Lifetime: t.Lifetime, Asked: a.rec().Health.LastFailure}
	switch a.rec().Origin {
	case store.OriginImport, store.OriginRestore:
		l.Foreign, l.Usual = true, schedule.Farthest
	case store.OriginExternal:
		l.Foreign, l.Usual = true, a.keeper.policy.AccessLifetime
	case store.OriginRefresh, store.OriginMint:
		if a.rec().StoredAt.After(l.Asked) {
			l.Asked = a.rec().StoredAt
		}
	}
	if a.keeper.met { // otherwise nobody knows what the end of the refresh token means
		rec, p := a.rec(), a.keeper.policy
		l.RefreshEnd, l.RefreshLife = rec.RefreshExpiry, refreshLife(rec, p)
		l.Sliding, l.Sure = endMoves(rec, p), endIsSure(rec, p)
	}
	return l
}

func (a *account) policyOf() schedule.Policy {
	p := schedule.Policy{BeforeExpiry: a.cfg.BeforeExpiry, Every: a.cfg.Every, Jitter: a.cfg.Jitter}
	return p.By(a.keeper.policy.BeforeExpiry, a.keeper.policy.OldAccessDies)
}

// ended says whether the account's login is over, and only a person can help.
func (a *account) ended(now time.Time) bool { return !a.rec().CanMint() && a.isOver(now) }

// isOver says whether the account's login is over: what it would send is known to
// be dead, and was not refused only because nobody sent it.
func (a *account) isOver(now time.Time) bool {
	if a.rec().Way == store.WayLogin && a.sessionGone() {
		return true
	}
	return a.stored() && a.state().Ambiguous() == nil && !a.rec().RefreshExpiry.IsZero() && !now.Before(a.rec().RefreshExpiry) &&
		(a.died(now) || a.planOf(now).Ended)
}

// died says whether the access token of an account that has nothing else is dead, so
// that nothing renews it any more. Where that is a guess, only the broker knows, if
// it can be asked.
func (a *account) died(now time.Time) bool {
	rec := a.rec()
	switch {
	case rec.Way == store.WayLogin && a.sessionGone():
		return true
	case rec.Way == store.WayRefresh, rec.Way == store.WayMint, rec.RefreshExpiry.IsZero(), now.Before(rec.RefreshExpiry):
		return false
	}
	return rec.Way == store.WayLogin || endIsSure(rec, a.keeper.policy)
}

// retry puts the account at the time of its next try after a failure, so that
// several fit in before the first of its tokens dies. If none can help any more
// it returns the zero time.
func (a *account) retry(f schedule.Failure) time.Time {
	now := a.keeper.clock.Now()
	dies := a.rec().Token.Expiry()
	if a.keeper.met && now.Wall.Before(a.rec().RefreshExpiry) {
		dies = moment.Earlier(dies, a.rec().RefreshExpiry)
	}
	a.pauseFor(promise.BackOff, "")
	if f.RetryAfter > 0 {
		a.pauseFor(promise.RetryAfter, "")
	}
	at := schedule.Retry(f, now.Wall, dies, mathrand.Float64())
	if a.ended(at) && !a.state().IsAnswered() {
		if a.ended(now.Wall) {
			a.notDue()
			return time.Time{}
		}
		at = a.rec().RefreshExpiry // nothing is tried before the login has ended
	}
	a.promise(at)
	a.dueAt(at, now)
	return at
}

// putOff is retry where the broker was not asked, for that reason. The caller holds
// k.mu.
func (a *account) putOff(inRow int, why promise.Reason, err error) (next time.Time) {
	next = a.retry(schedule.Failure{InRow: inRow})
	a.pauseFor(why, err.Error())
	a.promise(next)
	return next
}

// pauseFor notes why the account's next try is put off. The caller holds k.mu.
func (a *account) pauseFor(r promise.Reason, text string) { a.plan.pause, a.plan.pauseText = r, text }

// promised is when an account is tried again after a failure, by the back-off or
// by the server's word (RFC 9110, 10.2.3), and of which record that was said.
type promised struct {
	at      time.Time
	reason  promise.Reason
	text    string
	version uint64
}

// promise notes the next try, and why it waits. The caller holds k.mu.
func (a *account) promise(at time.Time) {
	a.plan.promised = promised{at: at, reason: a.plan.pause, text: a.plan.pauseText, version: a.rec().Version}
}

// promisedFor bounds how long a promise counts, in case the clock was set back.
const promisedFor = schedule.MaxRetryAfter

// kept is the moment before which nothing is tried again by itself; zero: there
// is none. It is kept by whatever plans the account anew, as the end of a hold
// does. The caller holds k.mu.
func (a *account) kept(now time.Time) promised {
	p := a.plan.promised
	if p.version != a.rec().Version || !p.at.After(now) || p.at.After(now.Add(promisedFor)) {
		return promised{}
	}
	return p
}

// resumeAt plans an account whose attempt was answered, or failed, and could not
// be noted yet, or not be compared with the spool: that comes before anything else,
// whatever the record says meanwhile. The caller holds k.mu.
func (a *account) resumeAt(now schedule.Instant) time.Time {
	p := a.kept(now.Wall)
	at := moment.Later(p.at, now.Wall)
	a.pauseFor(p.reason, p.text)
	a.dueAt(at, now)
	return at
}
