package refresh_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// An answer with a new refresh token and no access token: the refresh token is
// stored, consumers keep what they have, and the new one is used at once.
func TestARefreshTokenWithoutAnAccessTokenIsKept(t *testing.T) {
	for _, die := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			defer r.watch()()
			before := r.record("one")
			g := r.start()
			half := fault{half: true, proceed: make(chan struct{}), notice: make(chan struct{})}
			if die {
				half.die, half.kill = spooled, func() { g.kill() }
			}
			r.broker.next("one", half, fault{before: func() {
				// It asks again, with what has just been stored.
				rec := r.record("one")
				if rec.Version != 2 || !r.broker.holds("one", rec.Token.RefreshToken) {
					t.Errorf("version %d is stored, and it does not hold the new refresh token", rec.Version)
				}
				if !rec.Token.AccessToken.Equal(before.Token.AccessToken) || !rec.Token.Expiry().Equal(before.Token.Expiry()) {
					t.Error("consumers do not keep the access token that they had")
				}
				if s := r.status("one"); s.State != refresh.Retrying || s.Record.Health.Failures != 1 ||
					!strings.Contains(s.Record.Health.LastError, "no access token") {
					t.Errorf("the status does not tell of it: %s, %+v", s.State, s.Record.Health)
				}
			}})
			time.Sleep(15*time.Minute + time.Second)
			close(half.proceed)
			synctest.Wait()
			if die {
				_ = g.died()
				r.restart()
				g = r.start()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 3 || s.Record.Health.Failures != 0 {
				t.Errorf("%s at version %d, %+v", s.State, s.Record.Version, s.Record.Health)
			}
			if twice := r.broker.sentTwice(); len(twice) > 0 || r.broker.count() != 2 {
				t.Errorf("%d requests, sent twice: %v", r.broker.count(), twice)
			}
			_ = g.end()
		})
	}
}

// A broker that never gives an access token is asked at once only once.
func TestHalfAnswersBackOff(t *testing.T) {
	for name, f := range map[string]fault{"new refresh tokens": {half: true}, "always the same": {half: true, same: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				for range 500 {
					r.broker.next("one", f)
				}
				g := r.start()
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				most := 2
				if f.same {
					most = 1
				}
				if n := r.broker.count(); n != most {
					t.Errorf("%d requests within a second, want %d", n, most)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				// At most 28 while five minutes of the old token are left, a sixth
				// of what is left apart, and 55 in the minutes after that.
				if n := r.broker.count(); n > 85 || n < 50 {
					t.Errorf("%d requests in an hour", n)
				}
				if s := r.status("one"); s.Record.Health.Failures < s.MaxFailures || !r.nudged() {
					t.Errorf("%d failures in a row are no alert, or nobody looks", s.Record.Health.Failures)
				}
				if n := r.count(event.Ambiguous) + r.count(event.NeedsLogin); n != 0 {
					t.Errorf("%d alerts of another kind", n)
				}
				if !r.broker.holds("one", r.record("one").Token.RefreshToken) {
					t.Error("the record does not hold the refresh token that works")
				}
				_ = g.end()
			})
		})
	}
}

// Whoever asks for a refresh is not told that it was made before there is an access
// token.
func TestHalfATokenIsNoRefresh(t *testing.T) {
	for name, halves := range map[string]int{"once": 1, "always": 9} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				g := r.start()
				time.Sleep(time.Minute)
				before := r.record("one").Token.AccessToken
				for range halves {
					r.broker.next("one", fault{half: true})
				}
				did, err := r.keeper.Refresh(t.Context(), "one", true)
				if fails := halves > 1; did == fails || (err == nil) == fails || fails && !strings.Contains(err.Error(), "account one: the broker gave a new refresh token") {
					t.Errorf("refreshed: %t, %v", did, err)
				}
				rec := r.record("one")
				if rec.Version != 3 || rec.Token.AccessToken.Equal(before) == did || r.broker.count() != 2 {
					t.Errorf("version %d after %d requests, with the old access token: %t", rec.Version, r.broker.count(), rec.Token.AccessToken.Equal(before))
				}
				_ = g.end()
			})
		})
	}
}

// A first login may bring half a token, too: nothing is there to be delivered
// until the other half has come.
func TestALoginThatBringsHalfAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute)
		r.accounts = append(r.accounts, refresh.Account{Account: sdk.Account{Name: "one"}, Timeout: 30 * time.Second, MaxFailures: 5})
		r.restart()
		g := r.start()
		synctest.Wait()
		r.broker.next("one", fault{half: true})
		begun, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", begun.URL[strings.LastIndex(begun.URL, "=")+1:], "code-one"); err != nil {
			t.Fatal(err)
		}
		if n := r.woken(); n != 0 {
			t.Errorf("sinks were woken %d times for an access token that is not there", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 2 || r.woken() != 1 {
			t.Errorf("%s at version %d, sinks woken %d times", s.State, s.Record.Version, r.woken())
		}
		_ = g.end()
	})
}

// While the store takes nothing, a refresh token that came alone is in the shared file all
// the same: the programs that take its lock would use the one that is spent.
func TestHalfATokenReachesTheSharedFileWhileTheDiskRefusesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		disk := &badDisk{Store: r.store}
		r.store = disk
		r.restart()
		r.botWrites(r.record("one").Token, true)
		g := r.start()
		r.broker.next("one", fault{half: true, before: func() { disk.fail(false, true) }})
		time.Sleep(15*time.Minute + 2*time.Second)
		synctest.Wait()
		if in := r.inFile(); !r.broker.holds("one", in.RefreshToken) {
			t.Error("the file holds the refresh token that is spent")
		}
		disk.fail(false, false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || len(r.broker.sentTwice()) > 0 {
			t.Errorf("%s at version %d, sent twice: %v", s.State, s.Record.Version, r.broker.sentTwice())
		}
		if in, rec := r.inFile(), r.record("one"); !in.RefreshToken.Equal(rec.Token.RefreshToken) {
			t.Error("the file does not hold the newest token")
		}
		_ = g.end()
	})
}
