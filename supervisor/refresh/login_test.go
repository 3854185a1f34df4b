package refresh_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func (r *rig) beginLogin(account string) (state string) {
	r.t.Helper()
	begun, err := r.keeper.BeginLogin(r.t.Context(), account, "", event.Caller{UID: 7})
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(begun.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	return u.Query().Get("state")
}

// Whoever logs in while the provider's process starts waits for it, and for one that does
// not come he does not wait long.
func TestLoginWaitsForAProcessThatStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		began := time.Now()
		if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7}); !errors.Is(err, refresh.ErrNoProcess) || time.Since(began) > 10*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		begun := make(chan error, 1)
		go func() {
			_, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 7})
			begun <- err
		}()
		time.Sleep(2 * time.Second)
		g := r.start()
		if err := <-begun; err != nil {
			t.Error(err)
		}
		_ = g.end()
	})
}

func TestLoginGivesANewAccountItsFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute)
		r.accounts = []refresh.Account{{Account: sdk.Account{Name: "new"}, Timeout: 30 * time.Second, MaxFailures: 5}}
		r.restart()
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		state := r.beginLogin("new")
		if _, err := r.keeper.CompleteLogin(t.Context(), "new", "forged", "code-new"); !errors.Is(err, login.ErrNotThis) {
			t.Fatalf("a forged state: %v", err)
		}
		rec, err := r.keeper.CompleteLogin(t.Context(), "new", state, "code-new")
		if err != nil {
			t.Fatal(err)
		}
		if rec.Version != 1 || rec.Origin != store.OriginLogin || rec.LoginAt.IsZero() {
			t.Errorf("record: version %d, origin %s, login at %s", rec.Version, rec.Origin, rec.LoginAt)
		}
		if _, err := r.keeper.CompleteLogin(t.Context(), "new", state, "code-new"); !errors.Is(err, login.ErrNotThis) {
			t.Errorf("the same code again: %v", err)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if v := r.record("new").Version; v != 2 {
			t.Errorf("version %d after 16 minutes, want 2", v)
		}
		_ = g.end()
	})
}

func TestLoginThatIsRefusedHarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		before := r.record("one")
		state := r.beginLogin("one")
		_, err := r.keeper.CompleteLogin(t.Context(), "one", state, "wrong")
		if !errors.Is(err, sdk.ErrInvalidGrant) {
			t.Fatalf("a wrong code: %v", err)
		}
		if want := "account one: the login failed, because the broker did not take its code, which works once and dies soon; the account is as it was; begin again with: tokenkeeper login one ("; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("a wrong code is told as %q, want %q", err, want)
		}
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != before.Version {
			t.Errorf("after a refused login: %s at version %d", s.State, s.Record.Version)
		}
		if n := r.count(event.LoginFailed); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if v := r.record("one").Version; v != 2 {
			t.Errorf("version %d after 16 minutes, want 2", v)
		}
		_ = g.end()
	})
}

// A code exchange is an attempt too: its answer survives the process.
func TestDeathDuringALogin(t *testing.T) {
	for _, tt := range []struct {
		window  window
		version uint64
	}{{beforeSend, 1}, {sent, 1}, {answered, 1}, {spooled, 2}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one")
			defer r.watch()()
			g := r.start()
			synctest.Wait()
			state := r.beginLogin("one")
			r.broker.next("one", fault{die: tt.window, kill: func() { g.kill() }})
			if _, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); !errors.Is(err, sdk.ErrConnection) {
				t.Fatalf("window %d: %v", tt.window, err)
			}
			g.stop()
			<-g.done
			r.restart()
			g = r.start()
			synctest.Wait()
			rec := r.record("one")
			if rec.Version != tt.version {
				t.Errorf("window %d: version %d, want %d", tt.window, rec.Version, tt.version)
			}
			if got, want := r.count(event.LoginFailed) == 0, tt.version == 2; got != want {
				t.Errorf("window %d: no failure told: %t, want %t", tt.window, got, want)
			}
			if tt.window != beforeSend && tt.window != spooled && rec.Token.RefreshToken.IsZero() {
				t.Errorf("window %d: the old refresh token is gone", tt.window)
			}
			_ = g.end()
		})
	}
}
