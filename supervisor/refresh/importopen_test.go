package refresh_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// importAgain imports the refresh token that the account has.
func (r *rig) importAgain(force bool) error {
	t := r.record("one").Token
	t.AccessToken = sdk.NewSecret("of the file")
	_, err := r.keeper.Import(r.t.Context(), store.Record{Account: "one", Token: t}, force)
	return err
}

// A file that still holds the refresh token which an attempt has sent says nothing of
// what became of that: its import is refused, and by force it changes only what is known
// otherwise. Another token ends the attempt as ever.
func TestImportOverAnUnknownAttemptForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.next("one", failing(sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200, Unread: true}))
		g := r.start()
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		since := r.status("one").AmbiguousSince
		stands := func(when string, version uint64) {
			t.Helper()
			synctest.Wait()
			if s := r.status("one"); s.AmbiguousSince.IsZero() || !s.AmbiguousSince.Equal(since) || s.Unread == "" || s.Record.Version != version || r.broker.count() != 1 {
				t.Errorf("%s: version %d, unknown since %s, unread %q, %d requests", when, s.Record.Version, s.AmbiguousSince, s.Unread, r.broker.count())
			}
		}
		stands("before", 1)
		if err := r.importAgain(false); !errors.Is(err, refresh.ErrUnsettled) || !strings.Contains(err.Error(), "--force") || !strings.Contains(err.Error(), "2000-01-01") {
			t.Errorf("without force: %v", err)
		}
		stands("refused", 1)
		if err := r.importAgain(true); err != nil {
			t.Fatal(err)
		}
		stands("by force", 2)
		time.Sleep(24 * time.Hour)
		stands("a day later", 2)
		_ = g.end()
		r.restart()
		g = r.start()
		time.Sleep(time.Hour)
		stands("after a restart", 2)
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := r.status("one"); !s.AmbiguousSince.IsZero() || s.State != refresh.Valid {
			t.Errorf("another token: %s, unknown since %s", s.State, s.AmbiguousSince)
		}
		_ = g.end()
	})
}

// The words of a refusal say what happened before.
func TestRefusalAfterAnImportOverAnUnknownAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		r.broker.next("one", fault{loseAnswer: true})
		g := r.start()
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		since := r.status("one").AmbiguousSince
		if since.IsZero() {
			t.Fatal("the outcome is known")
		}
		if err := r.importAgain(true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if s := r.status("one"); s.State != refresh.NeedsLogin || s.Record.Version != 2 {
			t.Errorf("%s at version %d", s.State, s.Record.Version)
		}
		told := false
		r.count(event.NeedsLogin)
		r.mu.Lock()
		for _, e := range r.events {
			told = told || e.Type == event.NeedsLogin && strings.Contains(e.Message, since.Format(time.RFC3339))
		}
		r.mu.Unlock()
		if !told {
			t.Error("nobody is told that an answer was lost")
		}
		_ = g.end()
	})
}

// What may be under way elsewhere is waited for, by whoever has imported its token again.
func TestImportWaitsForWhatLingers(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			r.accounts[0].Timeout = 50 * time.Second
			r.restart()
			g := r.start()
			r.broker.next("one", fault{die: beforeSend, kill: func() { g.kill() }})
			time.Sleep(15*time.Minute + time.Second)
			_ = g.died()
			must(t, os.RemoveAll(r.spoolDir()))
			r.restart()
			if !restarted { // while nobody has looked at what is open
				if err := r.importAgain(true); err != nil {
					t.Fatal(err)
				}
			}
			g = r.start()
			time.Sleep(time.Second)
			synctest.Wait()
			if restarted {
				if err := r.importAgain(true); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(39 * time.Second)
			synctest.Wait()
			if n := r.broker.count(); n != 0 {
				t.Errorf("%d requests within the attempt's time", n)
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || r.broker.count() != 1 {
				t.Errorf("afterwards: %s at version %d, %d requests", s.State, s.Record.Version, r.broker.count())
			}
			_ = g.end()
		})
	}
}

// The answer to what was cut off is taken from the spool, after an import of what that
// has sent as before it.
func TestImportLeavesTheAnswerInTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(15*time.Minute + time.Second)
		_ = g.died()
		r.restart()
		if err := r.importAgain(false); !errors.Is(err, refresh.ErrUnsettled) {
			t.Errorf("without force: %v", err)
		}
		if err := r.importAgain(true); err != nil {
			t.Fatal(err)
		}
		g = r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		s := r.status("one")
		if s.State != refresh.Valid || s.Record.Version != 3 || r.broker.count() != 1 || !r.broker.holds("one", s.Record.Token.RefreshToken) {
			t.Errorf("%s at version %d, %d requests", s.State, s.Record.Version, r.broker.count())
		}
		_ = g.end()
	})
}
