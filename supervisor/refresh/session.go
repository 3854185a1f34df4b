package refresh

import (
	"errors"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what the sessions of package keepalive mean for an account. That
// one is gone refuses no token, which only the answer to an attempt can. It is a
// reason to ask for the next token now, where that can be had without a person; an
// account whose tokens come from logins alone needs one.

// hastenEvery is how soon after a turn that a lost session has brought the next one
// may bring another: a new token whose session is gone, too, shows that tokens do not
// help.
const hastenEvery = 15 * time.Minute

// sessionsOf is what the sessions of a provider's tokens mean for its accounts.
type sessionsOf struct {
	loop     *loop
	clock    *schedule.Clock
	accounts byName
}

// Serves says whether the provider's process takes turns: it is known, and what was
// left open is settled.
func (s sessionsOf) Serves() bool {
	s.loop.lock.Lock()
	defer s.loop.lock.Unlock()
	return s.loop.remote != nil
}

// Session returns the account and its record if the session of that token is to be
// kept alive: the provider serves, the token is durable, lives and may be used, and
// no attempt is under way. It is an error that nobody can say whether the provider may
// have it.
func (s sessionsOf) Session(name string) (sdk.Account, store.Record, bool, error) {
	a, known := s.accounts[name]
	if !known || !s.has(a) {
		return sdk.Account{}, store.Record{}, false, nil
	}
	err := a.steered(time.Now().Add(-verdictLasts))
	if errors.Is(err, ErrUntrusted) {
		return sdk.Account{}, store.Record{}, false, nil
	}
	s.loop.lock.Lock()
	rec := a.rec()
	s.loop.lock.Unlock()
	return presented{a}.now(), rec, s.has(a), err
}

// SessionOf says whether the session of a version is still to be kept alive, as far as
// that is known without a look at the disk.
func (s sessionsOf) SessionOf(name string, version uint64) bool {
	a, known := s.accounts[name]
	if !known || !s.has(a) {
		return false
	}
	s.loop.lock.Lock()
	defer s.loop.lock.Unlock()
	return a.rec().Version == version
}

// AccessRefused says whether the broker has refused the access token itself, and so its
// session. That it has refused a refresh token or a key ends none.
func AccessRefused(rec store.Record) bool { return rec.Way == store.WayRenew && rec.Refused() }

// has says whether the account has one that is to be kept alive.
func (s sessionsOf) has(a *account) bool {
	s.loop.lock.Lock()
	defer s.loop.lock.Unlock()
	rec := a.rec()
	if a.isPaused() {
		return false
	}
	return s.loop.remote != nil && a.stored() && !AccessRefused(rec) && !a.guard.Taken() && a.withheld() == "" && a.state().Held() == nil && rec.Token.Valid(s.clock.Now().Wall)
}

// SessionGone takes note of whether the session of a version is over. See [Status.SessionGone].
func (s sessionsOf) SessionGone(name string, version uint64, gone bool) {
	a, ok := s.accounts[name]
	if !ok {
		return
	}
	s.loop.lock.Lock()
	was, hastened := a.session.isGone(a.state()), false
	switch {
	case !a.stored() || a.rec().Version != version:
		s.loop.lock.Unlock()
		return
	case !gone:
		a.session.gone = 0
	default:
		a.session.gone = version
		hastened = s.hasten(a)
	}
	person := a.rec().Way == store.WayLogin
	if was != gone {
		a.changes()
	}
	s.loop.lock.Unlock()
	if hastened {
		a.Log().Info(SessionOver+"; the next one is asked for now", "version", version)
		s.loop.signal()
	}
	if gone && !was && person {
		a.Publish(slog.LevelError, event.Event{
			Type: event.NeedsLogin, Version: version, Expiry: a.rec().Token.Expiry(),
			Message: SessionOver + "; " + a.say.anew().With(""),
		})
	}
}

// SessionOver is what people are told of a session that is gone.
const SessionOver = "the broker says that the session of its token is over"

// hasten gives the account its turn now, if it would have one later and nothing
// but time keeps it from that, and says so. The caller holds s.loop.lock.
func (s sessionsOf) hasten(a *account) bool {
	now := s.clock.Now()
	due, planned := a.plan.due()
	since := now.Wall.Sub(a.session.hastened)
	switch {
	case !a.session.hastened.IsZero() && since >= 0 && since < hastenEvery,
		!planned, !due.After(now.Wall), a.plan.pause != promise.None, a.wish.notBefore.After(now.Wall), !(loginWait{a}).until(now.Wall).IsZero():
		return false
	}
	idle := a.ifIdle(func(a *leased) { a.plan.dueAt(now.Wall, now) })
	if idle {
		a.session.hastened = now.Wall
	}
	return idle
}

// forget is told that nobody says any more how sessions are. The caller holds
// s.loop.lock.
func (s sessionsOf) forget() {
	for _, a := range s.accounts {
		if a.session.gone != 0 {
			a.session.gone = 0
			a.changes()
		}
	}
}
