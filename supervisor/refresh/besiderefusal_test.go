package refresh_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A login is refused, and a refresh token stands beside that: it is kept aside, over
// the death of the process too, and the account's own goes on being refreshed.
func TestARefreshTokenBesideARefusedLoginIsKeptAside(t *testing.T) {
	for _, die := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			r.broker.rescued, r.broker.beside = sdk.RescuedBesideError, true
			defer r.watch()()
			before := r.record("one")
			g := r.start()
			synctest.Wait()
			f := fault{half: true}
			if die {
				f.die, f.kill = spooled, func() { g.kill() }
			}
			r.broker.next("one", f)
			_, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one")
			if die {
				g.stop()
				<-g.done
				r.restart()
				g = r.start()
				synctest.Wait()
			} else if !errors.Is(err, sdk.ErrInvalidGrant) {
				t.Errorf("the login: %v", err)
			}
			synctest.Wait() // until it is told
			rec := r.record("one")
			if rec.Version != 1 || !rec.Token.RefreshToken.Equal(before.Token.RefreshToken) || len(rec.Evidence) != 1 {
				t.Fatalf("version %d, with %d answers aside", rec.Version, len(rec.Evidence))
			}
			if e := rec.Evidence[0]; e.Token.RefreshToken.IsZero() || e.Token.RefreshToken.Equal(before.Token.RefreshToken) || e.Kind != "exchange" {
				t.Errorf("aside: %+v", e)
			}
			if _, open, err := r.store.Intent(t.Context(), "one"); open || err != nil || r.count(event.LoginFailed) != 1 || r.storedLogins() != 0 {
				t.Errorf("an attempt stands: %t, %v; told %d times; %d logins", open, err, r.count(event.LoginFailed), r.storedLogins())
			}
			time.Sleep(16 * time.Minute)
			synctest.Wait()
			if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 2 {
				t.Errorf("%s at version %d", s.State, s.Record.Version)
			}
			_ = g.end()
		})
	}
}

// unmarkable is a disk that takes no mark before a login is announced.
type unmarkable struct {
	store.Store
	serves bool
}

func (d *unmarkable) Replace(ctx context.Context, attempt string, in store.Intent) error {
	if d.serves = d.serves || in.Attempt != attempt; !d.serves {
		return errNoSpace
	}
	return d.Store.Replace(ctx, attempt, in)
}

// An attempt whose answer was lost, which no disk would take down as unknown, stands
// again after such a refusal: it was sent, and so counts as unknown.
func TestWhatSuchARefusalGivesBackWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.rescued, r.broker.beside = sdk.RescuedBesideError, true
		r.store = &unmarkable{Store: r.store}
		r.restart()
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		r.broker.next("one", fault{loseAnswer: true})
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		r.broker.next("one", fault{half: true})
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); !errors.Is(err, sdk.ErrInvalidGrant) {
			t.Errorf("the login: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := r.status("one"); s.AmbiguousSince.IsZero() || r.broker.count() != 1 {
			t.Errorf("unknown since %s, after %d refreshes", s.AmbiguousSince, r.broker.count())
		}
		if in, open, err := r.store.Intent(t.Context(), "one"); !open || err != nil || in.AmbiguousSince.IsZero() {
			t.Errorf("the store has %+v, %t, %v", in, open, err)
		}
		_ = g.end()
	})
}
