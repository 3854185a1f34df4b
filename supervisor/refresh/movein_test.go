package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// An account that was renamed goes on at once, in a loop that runs: an attempt of which
// nobody knows the outcome is tried again with the same refresh token, and the chain goes on.
func TestMoveIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "old")
		sent := r.status("old").Record.Token.RefreshToken.Reveal()
		r.broker.next("old", fault{refuse: sdk.ErrAmbiguous})
		g := r.start()
		marked := false
		for range 3600 {
			if in, stands, err := r.store.Intent(t.Context(), "old"); err == nil && stands && in.IsMarked() {
				marked = true
				break
			}
			time.Sleep(time.Second)
		}
		if err := g.end(); err != nil || !marked {
			t.Fatalf("marked: %t, %v", marked, err)
		}
		r.accounts = []refresh.Account{{Account: sdk.Account{Name: "new"}, Timeout: 30 * time.Second, MaxFailures: 5}}
		r.restart()
		r.broker.mu.Lock()
		r.broker.current["new"] = r.broker.current["old"]
		delete(r.broker.current, "old")
		r.broker.mu.Unlock()
		g = r.start()
		time.Sleep(time.Second)
		asked := 0
		rec, err := r.keeper.MoveIn(t.Context(), "new", "old", func() error { asked++; return nil })
		if err != nil || rec.Account != "new" || rec.Version != 1 || asked != 1 {
			t.Fatalf("%+v, %v, asked %d times", rec, err, asked)
		}
		if st, _ := r.keeper.Status("new"); st.AmbiguousSince.IsZero() || st.Version != 1 {
			t.Errorf("what nobody knows is forgotten: %+v", st.Shown)
		}
		time.Sleep(time.Hour)
		if now := r.status("new").Record; now.Version < 3 || now.Grant != 1 || now.Health.Failures > 0 {
			t.Errorf("version %d of grant %d, %+v", now.Version, now.Grant, now.Health)
		}
		if r.broker.posts[sent] != 2 || r.broker.refused > 0 {
			t.Errorf("it was sent %d times, and %d were refused", r.broker.posts[sent], r.broker.refused)
		}
		if _, err := r.keeper.MoveIn(t.Context(), "new", "old", func() error { return nil }); err == nil {
			t.Error("it was moved twice")
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

// An account that was renamed does not take what its shared file holds, which may be spent:
// it asks. It goes on with what is known under the name before, or, once that is forgotten,
// with the file.
func TestARenamedAccountDoesNotTakeItsFile(t *testing.T) {
	for name, renamed := range map[string]bool{"renamed": true, "forgotten": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				defer r.watch()()
				sent := r.record("one").Token.RefreshToken.Reveal()
				r.broker.next("one", fault{refuse: sdk.ErrAmbiguous})
				g := r.start()
				for r.status("one").AmbiguousSince.IsZero() {
					time.Sleep(time.Second)
					synctest.Wait()
				}
				_ = g.end()
				if r.inFile().RefreshToken.Reveal() != sent {
					t.Fatal("the file does not hold the token that was sent")
				}
				r.accounts[0].Name = "new"
				r.left = func(fingerprint string) string {
					if rec, err := r.store.Load(t.Context(), "one"); err == nil && rec.Token.RefreshToken.Fingerprint() == fingerprint {
						return "one"
					}
					return ""
				}
				r.broker.mu.Lock()
				r.broker.current["new"] = r.broker.current["one"]
				delete(r.broker.current, "one")
				r.broker.mu.Unlock()
				r.restart()
				g = r.start()
				if n := r.sends(func() { time.Sleep(2 * time.Hour) }); n != 0 {
					t.Errorf("%d requests", n)
				}
				const rename = "tokenkeeper accounts rename one new"
				s := r.status("new")
				if s.Version != 0 || s.Waiting != promise.Asked || !strings.Contains(s.Asked, "a refresh token of account one") || !strings.Contains(s.Ways, rename) ||
					!strings.Contains(s.Ways, "tokenkeeper accounts forget one") || r.count(event.UnknownToken) != 1 {
					t.Fatalf("version %d waits for %q: %s; %s; told %d times", s.Version, s.Waiting, s.Asked, s.Ways, r.count(event.UnknownToken))
				}
				token := store.Record{Account: "new", Token: sdk.Token{RefreshToken: sdk.NewSecret(sent)}}
				if _, err := r.keeper.Import(t.Context(), token, false); !errors.Is(err, refresh.ErrOtherAccount) || !strings.Contains(err.Error(), rename) {
					t.Errorf("imported: %v", err)
				}
				if renamed {
					if _, err := r.keeper.MoveIn(t.Context(), "new", "one", func() error { return nil }); err != nil {
						t.Fatal(err)
					}
				} else if err := storetest.Forget(t.Context(), r.store, "one"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if asked := r.status("new").Asked; asked != "" {
					t.Errorf("it asks still: %s", asked)
				}
				if rec := r.record("new"); rec.Version < 3 || !r.broker.holds("new", rec.Token.RefreshToken) || !r.inFile().RefreshToken.Equal(rec.Token.RefreshToken) {
					t.Errorf("version %d; the token works: %t", rec.Version, r.broker.holds("new", rec.Token.RefreshToken))
				}
				if n := r.broker.posts[sent]; n != 2 || r.broker.refused > 0 {
					t.Errorf("it was sent %d times, and %d were refused", n, r.broker.refused)
				}
				_ = g.end()
			})
		})
	}
}
