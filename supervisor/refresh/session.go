package refresh

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
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

// sessions are what an account knows of those of its tokens.
type sessions struct {
	// gone is the version whose session is over; 0: none is known to be.
	gone uint64
	// hastened is the version that was due earlier because its session was over, and
	// at when that was.
	hastened uint64
	at       time.Time
}

// Session returns the account and its record if the session of that token is to be
// kept alive: it is durable, lives and may be used, and no attempt is under way.
func (k *Keeper) Session(name string) (sdk.Account, store.Record, bool) {
	a, ok := k.accounts[name]
	if !ok || a.steered() != nil {
		return sdk.Account{}, store.Record{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	rec := a.rec()
	ok = a.stored() && !rec.NeedsLogin() && !a.guard.Taken() && a.withheld() == "" && a.state().Held() == nil && rec.Token.Valid(k.clock.Now().Wall)
	return a.cfg.Account, rec, ok
}

// SessionGone takes note of whether the session of a version is over. See [Status.SessionGone].
func (k *Keeper) SessionGone(name string, version uint64, gone bool) {
	a, ok := k.accounts[name]
	if !ok {
		return
	}
	k.mu.Lock()
	was := a.sessionGone()
	switch {
	case !a.stored() || a.rec().Version != version:
		k.mu.Unlock()
		return
	case !gone:
		a.session.gone = 0
	default:
		a.session.gone = version
		a.hasten()
	}
	person := a.rec().Way == store.WayLogin
	if was != gone {
		a.changes()
	}
	k.mu.Unlock()
	if gone && !was && person {
		a.publish(slog.LevelError, event.Event{
			Type: event.NeedsLogin, Version: version, Expiry: a.rec().Token.Expiry(),
			Message: fmt.Sprintf("%s; log in with: tokenkeeper login %s", SessionOver, name),
		})
	}
}

// SessionOver is what people are told of a session that is gone.
const SessionOver = "the broker says that the session of its token is over"

// sessionGone says whether the session of its newest token is over. The caller
// holds k.mu.
func (a *account) sessionGone() bool { return a.stored() && a.session.gone == a.rec().Version }

// hasten gives the account its turn now, if it would have one later and nothing
// but time keeps it from that. The caller holds k.mu.
func (a *account) hasten() {
	now := a.keeper.clock.Now()
	version := a.rec().Version
	since := now.Wall.Sub(a.session.at)
	if a.session.hastened == version || since >= 0 && since < hastenEvery {
		return
	}
	due, planned := a.keeper.heap.Due(a.cfg.Name)
	if !planned || !due.After(now.Wall) || a.plan.pause != promise.None || a.wish.notBefore.After(now.Wall) || a.waitsForLogin(now.Wall) {
		return
	}
	if a.ifIdle(func(a *leased) { a.dueAt(now.Wall, now) }) {
		a.session.hastened, a.session.at = version, now.Wall
		a.log().Info(SessionOver+"; the next one is asked for now", "version", version)
		a.keeper.signal()
	}
}
