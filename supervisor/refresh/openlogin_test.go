package refresh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func (r *rig) storedLogins() int {
	r.t.Helper()
	all, err := r.store.Logins(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return len(all)
}

// There is one login of an account: who begins a second gets the first one's address,
// and is told of it, before and after a restart; it can be completed then, once.
func TestBegunLoginIsOneAndDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		by := event.Caller{UID: 7, PID: 8, Program: "/bin/first"}
		first, err := r.keeper.BeginLogin(t.Context(), "one", "", by)
		if err != nil || first.Earlier {
			t.Fatalf("%+v, %v", first, err)
		}
		same := func(when string) {
			t.Helper()
			again, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{UID: 9})
			if err != nil || !again.Earlier || again.URL != first.URL || again.By != by || !again.At.Equal(first.At) || !again.Until.Equal(first.At.Add(15*time.Minute)) {
				t.Errorf("%s: %+v, %v; the first was %+v", when, again, err, first)
			}
			if s := r.status("one"); s.Login == nil || s.Login.By != by || s.Login.URL != "" {
				t.Errorf("%s: the status tells of %+v", when, s.Login)
			}
		}
		time.Sleep(time.Minute)
		same("a minute later")
		if r.status("two").Login != nil {
			t.Error("the login is another account's, too")
		}
		g.kill()
		g.stop()
		<-g.done
		r.restart()
		same("no process runs")
		g = r.start()
		synctest.Wait()
		same("after a restart")
		state := r.beginLogin("one")
		rec, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one")
		if err != nil || rec.Version != 2 || rec.Origin != store.OriginLogin {
			t.Fatalf("version %d by %s, %v", rec.Version, rec.Origin, err)
		}
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); !errors.Is(err, login.ErrNotThis) {
			t.Errorf("once more: %v", err)
		}
		if n := r.storedLogins(); n != 0 || r.status("one").Login != nil {
			t.Errorf("%d logins are left", n)
		}
		_ = g.end()
	})
}

// It is over by a person's word, or by itself, and then another one can be begun; also
// if it was begun as the account was configured before, or in the future.
func TestBegunLoginEnds(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"cancelled": func(r *rig) {
			if l, err := r.keeper.CancelLogin(r.t.Context(), "one"); err != nil || l.By.UID != 7 {
				r.t.Errorf("%+v, %v", l, err)
			}
		},
		"over": func(r *rig) {
			time.Sleep(15 * time.Minute)
			r.keeper.Look()
		},
		"over while nothing ran": func(r *rig) {
			time.Sleep(15 * time.Minute)
			r.restart()
			r.keeper.Look()
		},
		"the clock was set back": func(r *rig) {
			r.jumpBy(-time.Hour)
			r.keeper.Look()
		},
		"another client": func(r *rig) {
			r.accounts[0].ClientID = "another"
			r.restart()
			r.keeper.Look()
		},
		"another redirect_url": func(r *rig) {
			r.accounts[0].RedirectURL = "https://127.0.0.1:8183"
			r.restart()
			r.keeper.Look()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, time.Hour, "one")
				g := r.start()
				synctest.Wait()
				state := r.beginLogin("one")
				_ = g.end()
				end(r)
				synctest.Wait()
				if n := r.storedLogins(); n != 0 || r.status("one").Login != nil {
					t.Errorf("%d logins are left", n)
				}
				if _, err := r.keeper.CancelLogin(t.Context(), "one"); !errors.Is(err, login.ErrNotOpen) {
					t.Errorf("cancelled once more: %v", err)
				}
				g = r.start()
				synctest.Wait()
				if _, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); !errors.Is(err, login.ErrNotThis) {
					t.Errorf("completed: %v", err)
				}
				if again := r.beginLogin("one"); again == state {
					t.Error("the login that is over was given once more")
				}
				_ = g.end()
			})
		})
	}
}

// While a login is open nothing is refreshed, and that is said; when it is over, or the
// token would die, the refresh comes, and no loop is hot meanwhile.
func TestOpenLoginHoldsRefreshes(t *testing.T) {
	const due, dies = 15 * time.Minute, 20 * time.Minute
	for _, tt := range []struct {
		name       string
		begun      time.Duration
		end        func(*rig)
		held, came time.Duration // when it is looked at, and when the refresh has come
	}{
		{"over by itself", time.Minute, nil, 15*time.Minute + 59*time.Second, 16*time.Minute + time.Second},
		{"the token would die", 14 * time.Minute, nil, 18*time.Minute + 59*time.Second, 19*time.Minute + time.Second},
		{"cancelled", 14 * time.Minute, func(r *rig) { _, _ = r.keeper.CancelLogin(r.t.Context(), "one") }, 17 * time.Minute, 17*time.Minute + time.Second},
		{"the login failed", 14 * time.Minute, func(r *rig) {
			if _, err := r.keeper.CompleteLogin(r.t.Context(), "one", r.beginLogin("one"), "wrong"); err == nil {
				r.t.Error("a wrong code was taken")
			}
		}, 17 * time.Minute, 17*time.Minute + time.Second},
		{"somebody insists", 14 * time.Minute, func(r *rig) {
			if _, err := r.keeper.Refresh(r.t.Context(), "one", false); !errors.Is(err, login.ErrOpen) {
				r.t.Errorf("asked: %v", err)
			}
			if did, err := r.keeper.Refresh(r.t.Context(), "one", true); !did || err != nil {
				r.t.Errorf("insisted: %t, %v", did, err)
			}
		}, 17 * time.Minute, 17*time.Minute + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, dies, "one")
				begun := time.Now()
				defer r.watch()()
				g := r.start()
				at := func(d time.Duration) { time.Sleep(time.Until(begun.Add(d))); r.keeper.Look(); synctest.Wait() }
				at(tt.begun)
				r.beginLogin("one")
				at(tt.held)
				s := r.status("one")
				if s.Record.Version != 1 || s.Waiting != promise.LoginOpen || s.WaitingText == "" || s.State != refresh.Valid {
					t.Errorf("held: version %d, %s, waits for %q (%s)", s.Record.Version, s.State, s.Waiting, s.WaitingText)
				}
				if !s.Due.After(begun.Add(tt.held)) {
					t.Errorf("due %s, which is over", s.Due.Sub(begun))
				}
				if tt.end != nil {
					tt.end(r)
				}
				at(tt.came)
				if s := r.status("one"); s.Record.Version != 2 || s.Waiting != promise.None {
					t.Errorf("version %d, waits for %q, due %s", s.Record.Version, s.Waiting, s.Due.Sub(begun))
				}
				if n := r.count(event.PlanMended); n != 0 {
					t.Errorf("the plan was mended %d times", n)
				}
				_ = g.end()
			})
		})
	}
}

// An import goes on while a login is open, and leaves it open.
func TestImportWhileALoginIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		synctest.Wait()
		state := r.beginLogin("one")
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
			t.Fatal(err)
		}
		if rec, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); err != nil || rec.Version != 3 {
			t.Errorf("version %d, %v", rec.Version, err)
		}
		_ = g.end()
	})
}

// A store that does not take the beginning of a login begins none.
func TestLoginThatIsNotDurableIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.store = loginless{r.store}
		r.restart()
		g := r.start()
		synctest.Wait()
		if l, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{}); !errors.Is(err, store.ErrDisk) || l.URL != "" || r.status("one").Login != nil {
			t.Errorf("%+v, %v", l, err)
		}
		_ = g.end()
	})
}

// loginless takes no login.
type loginless struct{ store.Store }

func (loginless) PutLogin(_ context.Context, _ store.Login) error { return store.ErrDisk }

// While a code is being exchanged no other login is begun and none is cancelled, and
// who brings a code of another login hears what is open.
func TestWhatIsToldWhileACodeIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		told := func(open bool, want string) {
			t.Helper()
			_, err := r.keeper.CompleteLogin(t.Context(), "one", "another state", "code")
			if !errors.Is(err, login.ErrNotThis) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "stays open") != open {
				t.Errorf("a code of another login: %v", err)
			}
		}
		told(false, "No login is open")
		state := r.beginLogin("one")
		told(true, "--cancel")
		var second, cancel error
		r.broker.next("one", fault{before: func() {
			_, second = r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{})
			_, cancel = r.keeper.CancelLogin(t.Context(), "one")
		}})
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one"); err != nil {
			t.Error(err)
		}
		if !errors.Is(second, login.ErrSpent) || !errors.Is(cancel, login.ErrSpent) || r.storedLogins() != 0 {
			t.Errorf("meanwhile: %v; %v; %d logins are left", second, cancel, r.storedLogins())
		}
		told(false, "No login is open")
		_ = g.end()
	})
}

// A login that is cancelled while its code waits for the shared file sends nothing.
func TestCancelledWhileItsCodeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		state := r.beginLogin("one")
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		outcome := make(chan error, 1)
		go func() {
			_, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code")
			outcome <- err
		}()
		time.Sleep(time.Second)
		if _, err := r.keeper.CancelLogin(t.Context(), "one"); err != nil {
			t.Error(err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if err := <-outcome; !errors.Is(err, login.ErrNotThis) {
			t.Errorf("the code: %v", err)
		}
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests", n)
		}
		_ = g.end()
	})
}
