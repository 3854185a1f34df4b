package refresh_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A bot has refreshed twice unseen, and its newest token was adopted. Another bot
// writes the one between. The living one is gone back to when that is refused,
// over a restart too.
func TestAnUnprovenFindIsNotForgotten(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newSharedRig(t)
			r.botWrites(r.record("one").Token, true)
			g := r.start()
			time.Sleep(5 * time.Minute)
			w := r.broker.grant("one") // by bot A
			time.Sleep(5 * time.Minute)
			x := r.botRefreshes(true) // by bot A, from w
			r.keeper.Touch("one")
			synctest.Wait()
			r.wants(2, store.OriginExternal)
			r.botWrites(w, true) // by bot B, which still had it
			r.keeper.Touch("one")
			synctest.Wait()
			if rec := r.record("one"); rec.Version != 3 || len(rec.Before) != 2 || !rec.Before[0].Token.RefreshToken.Equal(x.RefreshToken) {
				t.Fatalf("version %d keeps %d before it", rec.Version, len(rec.Before))
			}
			if restarts {
				_ = g.end()
				r.restart()
				g = r.start()
			}
			time.Sleep(40 * time.Minute)
			synctest.Wait()
			s := r.status("one")
			if s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) || len(s.Record.Before) > 0 {
				t.Errorf("state %s, %d kept before it; the living one was sent %d times", s.State, len(s.Record.Before), r.broker.posts[x.RefreshToken.Reveal()])
			}
			if twice := r.broker.sentTwice(); len(twice) > 0 {
				t.Errorf("sent twice: %v", twice)
			}
			_ = g.end()
		})
	}
}

// Finds that are all dead are tried one by one, newest first; then what the
// broker gave, however many there were; a person is called last.
func TestTheWholeChainOfUnprovenOnesIsTried(t *testing.T) {
	for _, dead := range []bool{false, true} {
		for _, finds := range []int{1, 3, 9} {
			t.Run(fmt.Sprintf("%d, ours is dead: %t", finds, dead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newSharedRig(t)
					defer r.watch()()
					r.botWrites(r.record("one").Token, true)
					g := r.start()
					time.Sleep(time.Minute)
					for n := range finds {
						time.Sleep(10 * time.Second)
						r.botWrites(sdk.Token{
							AccessToken: sdk.NewSecret(fmt.Sprint("forged-", n)), RefreshToken: sdk.NewSecret(fmt.Sprint("forged-", n)),
							IssuedAt: r.wall(), Lifetime: 20 * time.Minute,
						}, true)
						r.keeper.Touch("one")
						synctest.Wait()
					}
					if v := r.record("one").Version; v != uint64(1+finds) {
						t.Fatalf("version %d after %d finds", v, finds)
					}
					if dead {
						r.broker.grant("one")
					}
					time.Sleep(time.Hour)
					synctest.Wait()
					s := r.status("one")
					if alive := s.State == refresh.Valid; alive == dead || alive != (r.count(event.NeedsLogin) == 0) {
						t.Errorf("state %s, a person was called %d times", s.State, r.count(event.NeedsLogin))
					}
					if twice := r.broker.sentTwice(); len(twice) > 0 {
						t.Errorf("sent twice: %v", twice)
					}
					most := min(finds, 5) // the one in use, and the four that are kept
					if dead {
						most++
					}
					if n := r.broker.refusals(); n != most {
						t.Errorf("%d refusals, want %d", n, most)
					}
					_ = g.end()
				})
			})
		}
	}
}

// An unproven one is refused, and a third stands in the file by then: that goes
// first.
func TestAThirdTokenGoesBeforeTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		time.Sleep(5 * time.Minute)
		ours := r.record("one").Token
		forged := ours
		forged.AccessToken, forged.RefreshToken, forged.IssuedAt = sdk.NewSecret("forged"), sdk.NewSecret("forged"), r.wall()
		r.botWrites(forged, true)
		r.keeper.Touch("one")
		synctest.Wait()
		r.broker.next("one", fault{before: func() { r.botRefreshes(false) }})
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) {
			t.Errorf("state %s, version %d from %s", s.State, s.Record.Version, s.Record.Origin)
		}
		if n := r.broker.posts[ours.RefreshToken.Reveal()]; n > 0 {
			t.Errorf("the one before was sent %d times", n)
		}
		_ = g.end()
	})
}

// A file whose times carry a zone is not wrong by an hour: a token that ended
// before ours is asked about.
func TestOnlyALocalTimeMayBeWrongByAnHour(t *testing.T) {
	for f, taken := range map[string]bool{format.SaxoCache: true, format.JSON: false} {
		t.Run(f, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRigOf(t, f)
				r.botWrites(r.record("one").Token, true)
				g := r.start()
				time.Sleep(5 * time.Minute)
				stranger := r.record("one").Token
				stranger.AccessToken, stranger.RefreshToken = sdk.NewSecret("stranger"), sdk.NewSecret("stranger")
				stranger.IssuedAt = stranger.IssuedAt.Add(-3 * time.Minute)
				r.botWrites(stranger, true)
				r.keeper.Touch("one")
				synctest.Wait()
				if v, asked := r.record("one").Version, r.status("one").Asked; taken != (v == 2) || taken != (asked == "") {
					t.Errorf("version %d, asked %q", v, asked)
				}
				_ = g.end()
			})
		})
	}
}

// What is known to be another account's comes into no record by any way.
func TestAnotherAccountsTokenIsNeverTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		g := r.start()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		two := r.record("two")
		past := two.Token
		past.RefreshToken = sdk.NewSecret("refresh-two-2") // of its import
		for name, theirs := range map[string]sdk.Token{"present": two.Token, "past": past} {
			for _, force := range []bool{false, true} {
				before := r.record("one")
				_, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: theirs}, force)
				if !errors.Is(err, refresh.ErrOtherAccount) && (force || !errors.Is(err, refresh.ErrHasToken)) {
					t.Errorf("%s, force %t: %v", name, force, err)
				}
				if force && !(strings.Contains(err.Error(), "account one:") && strings.Contains(err.Error(), "account two")) {
					t.Errorf("it does not name both: %v", err)
				}
				if r.record("one").Version != before.Version {
					t.Errorf("%s, force %t: it was taken", name, force)
				}
			}
		}
		_ = g.end()
	})
}

// A token that the account is known to have used up is imported only by force.
func TestImportOfAPastToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		past := r.record("one").Token
		g := r.start()
		time.Sleep(16 * time.Minute)
		r.broker.grant("one") // another login has ended ours
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.NeedsLogin {
			t.Fatal(s.State)
		}
		for name, token := range map[string]sdk.Token{"past": past, "refused": r.record("one").Token} {
			if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: token}, false); !errors.Is(err, refresh.ErrNotNewer) || !strings.Contains(err.Error(), "--force") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: past}, true); err != nil {
			t.Error(err)
		}
		_ = g.end()
	})
}

// An import that comes after the refresh of the very token it brings, or has waited for
// it, takes nothing from what that has obtained.
func TestForcedImportThatWaitedForARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		spent := r.record("one").Token
		r.broker.setTakes(5 * time.Second)
		g := r.start()
		go func() { _, _ = r.keeper.Refresh(t.Context(), "one", true) }()
		synctest.Wait()
		_, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: spent}, true)
		if !errors.Is(err, refresh.ErrNotNewer) || !strings.Contains(err.Error(), "version 2 was obtained with it") {
			t.Errorf("%v", err)
		}
		if _, again := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: spent}, true); !errors.Is(again, refresh.ErrNotNewer) {
			t.Errorf("once more: %v", again)
		}
		if rec := r.record("one"); rec.Version != 2 || rec.Token.RefreshToken.Equal(spent.RefreshToken) {
			t.Errorf("version %d; what the refresh has brought is lost", rec.Version)
		}
		_ = g.end()
	})
}

// Of two logins that were brought by force, and have waited for their turn, the newer one
// stays, whichever comes first.
func TestOfLoginsThatWaitedTheNewerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.setTakes(5 * time.Second)
		g := r.start()
		for range 20 {
			go func() { _, _ = r.keeper.Refresh(t.Context(), "one", true) }()
			synctest.Wait()
			asked := map[string]error{}
			var mu sync.Mutex
			for i, login := range []string{"newer", "older"} {
				at := r.wall().Add(-time.Duration(i) * time.Second)
				go func() {
					_, err := r.keeper.Import(t.Context(), store.Record{Account: "one", LoginAt: at, Token: sdk.Token{
						AccessToken: sdk.NewSecret("a " + login), RefreshToken: sdk.NewSecret(login + at.String()), IssuedAt: at, Lifetime: 20 * time.Minute,
					}}, true)
					mu.Lock()
					defer mu.Unlock()
					asked[login] = err
				}()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := r.record("one").Token.AccessToken.Reveal(); got != "a newer" {
				t.Errorf("stored is the login %q", got)
			}
			if err := asked["older"]; asked["newer"] != nil || err != nil && !errors.Is(err, refresh.ErrNotNewer) {
				t.Errorf("the newer: %v, the older: %v", asked["newer"], err)
			}
		}
		_ = g.end()
	})
}
