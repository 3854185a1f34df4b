package refresh

import (
	mathrand "math/rand/v2"
	"time"

	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// planAnew plans accounts whose plan rests on something that has changed: at once, or
// when the work on them ends. The caller holds k.mu.
func planAnew(accounts ...*account) {
	for _, a := range accounts {
		if !a.ifIdle(planIdle) {
			a.wish.anew = true
		}
	}
}

// planIdle plans an account on which nobody is at work. The caller holds k.mu.
func planIdle(a *leased) {
	a.replan()
	delayed{a}.turnForAsked()
}

// turnForAsked gives the account a turn at once if somebody waits for a refresh, whatever it
// is planned for by itself: the turn says why there is none, if so. The caller holds k.mu.
func (a delayed) turnForAsked() bool {
	if a.state().IsCut() || !a.wish.asked() {
		return false
	}
	now := a.keeper.clock.Now()
	a.plan.dueAt(now.Wall, now)
	return true
}

// plan puts the account at its due time, or out of the heap if only a person
// can help it; a shared file that changes is looked at all the same. It returns
// the due time; zero: it is not due by itself.
func (a *leased) replan() time.Time {
	now := a.keeper.clock.Now()
	a.countNeed()
	a.look.planned = time.Time{}
	if (delayed{a}).resumes() {
		return a.resumeAt(now)
	}
	kept := a.plan.kept(now.Wall, a.rec().Version)
	a.plan.pauseFor(promise.None, "")
	if (delayed{a}).looksForFirst() {
		a.plan.dueAt(now.Wall, now)
		return now.Wall
	}
	if p, paused := a.state().Course.(acct.Paused); paused {
		pausable{a.account}.planBy(p.Pause, now)
		return time.Time{}
	}
	if a.rec().NeedsLogin() || a.state().IsCut() || a.withheld() != "" {
		a.plan.notDue()
		return time.Time{}
	}
	need := a.dueOf(now.Wall)
	if need.IsZero() {
		a.plan.notDue()
		return need
	}
	due := budgeted{a}.sooner(need, now.Wall)
	if a.rec().Health.Failures > 0 && due.After(now.Wall) {
		a.plan.pauseFor(promise.BackOff, "") // the broker was asked just now
	}
	if due.Before(kept.at) {
		due = kept.at
		a.plan.pauseFor(kept.reason, kept.text)
	}
	if due.Before(a.wish.notBefore) {
		due = a.wish.notBefore
	}
	due = loginWait{a.account}.behind(limited{a.account}.behind(due, now), now.Wall)
	a.plan.dueAt(moment.Later(due, need), now)
	if due.Before(need) {
		a.plan.wishedAt(due, now)
	}
	return due
}

// dueOf is when something is to be done by itself for an account that needs no login, at the latest; zero: only a person can.
func (a *leased) dueOf(now time.Time) time.Time {
	if l := a.state().Lingers(); l != nil {
		return l.Until
	}
	if a.state().Ambiguous() != nil {
		return unknown{a}.until()
	}
	o := a.outlook().at(now)
	if o.mintsAtOnce() {
		return now
	}
	if a.rec().Way == store.WayLogin {
		return time.Time{}
	}
	p := o.plan()
	if (p.Ended || o.died()) && !a.state().IsAnswered() {
		return time.Time{}
	}
	return p.Due
}

// delayed is an account whose next try has to wait for a while.
type delayed struct{ *leased }

// retry puts the account at the time of its next try after a failure. If none can
// help any more it returns the zero time. The caller holds k.mu.
func (a delayed) retry(f schedule.Failure) time.Time {
	now := a.keeper.clock.Now()
	why := promise.BackOff
	if f.RetryAfter > 0 {
		why = promise.RetryAfter
	}
	at := a.nextTry(f, now.Wall)
	if a.outlook().at(at).ended() && !a.resumes() {
		if a.outlook().at(now.Wall).ended() {
			a.plan.pauseFor(why, "")
			a.plan.notDue()
			return time.Time{}
		}
		at = moment.Later(a.rec().RefreshExpiry, now.Wall.Add(f.Rest)) // nothing is tried before the login has ended
	}
	return a.retryAt(at, why, "", now)
}

// retryUnasked is retry where the broker was not asked, for that reason: another try may help
// also when the login has ended. The caller holds k.mu.
func (a delayed) retryUnasked(inRow int, why promise.Reason, err error) time.Time {
	now := a.keeper.clock.Now()
	at := a.nextTry(schedule.Failure{InRow: inRow}, now.Wall)
	return a.retryAt(at, why, err.Error(), now)
}

// nextTry is when the next try is after a failure, so that several fit in before the
// first of the account's tokens dies.
func (a delayed) nextTry(f schedule.Failure, now time.Time) time.Time {
	return schedule.Retry(f, now, a.dies(now), mathrand.Float64())
}

// dies is when the first of the account's tokens dies: the access token, or the refresh
// token if that lives. Zero: nobody knows. The caller holds k.mu, or the account's lease.
func (a *account) dies(now time.Time) time.Time {
	rec := a.rec()
	if now.Before(rec.RefreshExpiry) {
		return moment.Earlier(rec.Token.Expiry(), rec.RefreshExpiry)
	}
	return rec.Token.Expiry()
}

// retryAt plans the next try, and returns when it is; zero: there is none by itself, because
// the account is paused.
func (a delayed) retryAt(at time.Time, why promise.Reason, text string, now schedule.Instant) time.Time {
	a.plan.pauseFor(why, text)
	a.plan.promise(at, a.rec().Version)
	if a.isPaused() && !a.resumes() && !a.looksForFirst() {
		return a.replan()
	}
	a.plan.dueAt(at, now)
	return at
}

// looksForFirst says whether the account's turn is to look for its first token in the file
// that it shares. With a key it looks there before it mints.
func (a delayed) looksForFirst() bool { return a.share != nil && !a.stored() && a.rec().Key == "" }

// resumes says whether the account's next turn goes on with what was left open, before
// it looks at anything: an attempt was answered, or failed, and could not be noted yet,
// or not be compared with the spool; or what came late could not be kept.
func (a delayed) resumes() bool {
	does := a.state().AtTurn()
	return does == acct.Repeat || does == acct.Compare || does == acct.Look && a.desk().late != nil
}

// resumeAt plans an account that resumes: that comes before anything else, whatever
// the record says meanwhile. The caller holds k.mu.
func (a *account) resumeAt(now schedule.Instant) time.Time {
	p := a.plan.kept(now.Wall, a.rec().Version)
	at := moment.Later(p.at, now.Wall)
	a.plan.pauseFor(p.reason, p.text)
	a.plan.dueAt(at, now)
	return at
}
