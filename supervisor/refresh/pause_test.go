package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var somebody = event.Caller{UID: 1000, PID: 7, Program: "/usr/bin/tokenkeeper"}

// pause pauses an account, for a while or until it is resumed.
func (r *rig) pause(account string, during time.Duration) refresh.Pausing {
	r.t.Helper()
	said := store.Pause{Since: r.wall(), By: somebody, Reason: "a migration"}
	if during > 0 {
		said.Until = r.wall().Add(during)
	}
	got, err := r.keeper.Pause(r.t.Context(), account, said)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *rig) resume(account string) refresh.Resuming {
	r.t.Helper()
	got, err := r.keeper.Resume(r.t.Context(), account, somebody)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// isPaused fails the test unless the account is shown as paused, and the promise is kept.
func (r *rig) isPaused(account, when string) {
	r.t.Helper()
	synctest.Wait()
	r.keeper.Look()
	synctest.Wait()
	s := r.status(account)
	if s.State != refresh.Paused || s.Pause == nil || !s.Due.IsZero() || s.Waiting != promise.Paused || !strings.Contains(s.WaitingText, "by user 1000") {
		r.t.Errorf("%s: it is %s, due %s, and waits for %q (%s): %+v", when, s.State, s.Due, s.Waiting, s.WaitingText, s.Pause)
	}
	r.met()
}

// sends is how many requests do makes.
func (r *rig) sends(do func()) int {
	r.t.Helper()
	synctest.Wait()
	before := r.broker.count()
	do()
	synctest.Wait()
	return r.broker.count() - before
}

// Nothing is asked of a paused account's broker, however long it is due, over the
// provider's generations and over restarts; whoever asks is told so. Once it is resumed it
// has its turn at once.
func TestPausedAccountSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		defer r.watch()()
		g := r.start()
		if got := r.pause("one", 0); got.Already || got.InFlight || got.Pause.Reason != "a migration" {
			t.Errorf("paused: %+v", got)
		}
		r.isPaused("one", "at once")
		if n := r.sends(func() { time.Sleep(24 * time.Hour) }); n < 24 || n != int(r.record("two").Version)-1 {
			t.Errorf("%d requests, and version %d of the other account", n, r.record("two").Version)
		}
		r.isPaused("one", "a day later")
		if v := r.record("one").Version; v != 1 {
			t.Fatalf("version %d", v)
		}
		for what, ask := range map[string]func() error{
			"a person": func() error {
				_, err := r.keeper.Refresh(t.Context(), "one", false)
				return err
			},
			"a program": func() error { return r.keeper.Newer(t.Context(), "one", 1, nil) },
		} {
			var paused *refresh.IsPaused
			if err := ask(); !errors.As(err, &paused) || !strings.Contains(err.Error(), "(a migration)") || !strings.Contains(err.Error(), "tokenkeeper resume one") {
				t.Errorf("%s asks: %v", what, err)
			}
		}
		if l := r.keeper.Load(); l.Accounts != 1 {
			t.Errorf("%d accounts count as needing refreshes, want 1", l.Accounts)
		}
		_ = g.end()
		r.restart()
		g = r.start()
		r.isPaused("one", "after a restart")
		if n := r.record("one").Version; n != 1 {
			t.Errorf("version %d", n)
		}
		again := r.pause("one", 0)
		if !again.Already || r.count(event.Paused) != 1 {
			t.Errorf("paused twice: %+v, told %d times", again, r.count(event.Paused))
		}
		if n := r.sends(func() { r.resume("one") }); n != 1 || r.record("one").Version != 2 {
			t.Errorf("resumed: %d requests, version %d", n, r.record("one").Version)
		}
		if s := r.status("one"); s.State != refresh.Valid || s.Pause != nil || s.Due.IsZero() {
			t.Errorf("resumed: %s, due %s, %+v", s.State, s.Due, s.Pause)
		}
		if got := r.resume("one"); got.Pause != nil || r.count(event.Resumed) != 1 {
			t.Errorf("resumed twice: %+v, told %d times", got, r.count(event.Resumed))
		}
		_ = g.end()
		r.restart()
		if s := r.status("one"); s.Pause != nil {
			t.Errorf("paused again by a restart: %+v", s.Pause)
		}
		if _, err := r.keeper.Pause(t.Context(), "nobody", store.Pause{}); !errors.Is(err, refresh.ErrUnknownAccount) {
			t.Errorf("nobody: %v", err)
		}
		if _, err := r.keeper.Resume(t.Context(), "nobody", somebody); !errors.Is(err, refresh.ErrUnknownAccount) {
			t.Errorf("nobody: %v", err)
		}
	})
}

// A request that was sent before is heard out, stored and handed on; what fails is not sent
// again.
func TestPauseDuringARequest(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse  error
		version uint64
	}{"answered": {nil, 2}, "refused for now": {unavailable, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				notice, proceed := make(chan struct{}), make(chan struct{})
				r.broker.next("one", fault{before: func() { close(notice); <-proceed }, refuse: tt.refuse})
				g := r.start()
				<-notice
				if got := r.pause("one", 0); !got.InFlight {
					t.Error("it is not told that an attempt is under way")
				}
				woken := r.woken()
				close(proceed)
				synctest.Wait()
				if v := r.record("one").Version; v != tt.version || r.woken()-woken != int(tt.version-1) {
					t.Errorf("version %d, handed on %d times", v, r.woken()-woken)
				}
				r.isPaused("one", "afterwards")
				if n := r.sends(func() { time.Sleep(24 * time.Hour) }); n != 0 {
					t.Errorf("%d requests", n)
				}
				r.isPaused("one", "a day later")
				if n := r.sends(func() { r.resume("one") }); n != 1 {
					t.Errorf("%d requests once it is resumed", n)
				}
				_ = g.end()
			})
		})
	}
}

// late is something that waits for its time, once somebody has said so.
type late struct{ until atomic.Pointer[chan struct{}] }

func (l *late) wait() {
	if until := l.until.Load(); until != nil {
		<-*until
	}
}

// readLate is a store from which a record is read late.
type readLate struct {
	store.Store
	*late
}

func (s readLate) Load(ctx context.Context, account string) (store.Record, error) {
	s.wait()
	return s.Store.Load(ctx, account)
}

// A pause that comes between the look for a newer token and the announcement counts.
func TestPauseBeforeTheAnnouncement(t *testing.T) {
	for name, decided := range map[string]bool{"while its destinations are asked": false, "once it is decided that it is refreshed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				asks, reads := &late{}, &late{}
				r.elsewhere = func(context.Context, store.Record) refresh.Elsewhere {
					asks.wait()
					return refresh.Elsewhere{}
				}
				r.store = readLate{r.store, reads}
				r.restart()
				g := r.start()
				synctest.Wait()
				holds := make(chan struct{})
				held := asks
				if decided {
					held = reads
				}
				held.until.Store(&holds)
				time.Sleep(16 * time.Minute)
				if got := r.pause("one", 0); got.InFlight {
					t.Error("nothing was sent, and it is told that something was")
				}
				close(holds)
				synctest.Wait()
				if n := r.broker.count(); n != 0 {
					t.Errorf("%d requests", n)
				}
				r.isPaused("one", "afterwards")
				_ = g.end()
			})
		})
	}
}

// What a person does himself works: a login, an import, and a refresh on which he insists.
// None of them resumes the account.
func TestAPausedAccountIsAPersonsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		time.Sleep(time.Second)
		r.pause("one", 0)
		if n := r.sends(func() {
			if did, err := r.keeper.Refresh(t.Context(), "one", true); err != nil || !did {
				t.Errorf("with force: %v, %v", did, err)
			}
		}); n != 1 {
			t.Errorf("%d requests", n)
		}
		r.isPaused("one", "after a refresh")
		r.broker.next("one", fault{refuse: unavailable})
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err == nil {
			t.Error("a refresh that the broker refuses has worked")
		}
		if n := r.sends(func() { time.Sleep(time.Hour) }); n != 0 {
			t.Errorf("%d requests after one that failed", n)
		}
		r.isPaused("one", "after a failure")
		rec, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one")
		if err != nil {
			t.Fatal(err)
		}
		r.isPaused("one", "after a login")
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
			t.Error(err)
		}
		if n := r.sends(func() { time.Sleep(time.Hour) }); n != 0 {
			t.Errorf("%d requests", n)
		}
		r.isPaused("one", "after an import")
		if v := r.record("one").Version; v != rec.Version+1 {
			t.Errorf("version %d, want %d", v, rec.Version+1)
		}
		_ = g.end()
	})
}

// The shared file is watched: what a bot puts there is taken, and asks nothing of the broker.
func TestAPausedAccountTakesWhatABotBrings(t *testing.T) {
	for name, notice := range map[string]func(*sharedRig){
		"noticed": func(r *sharedRig) { r.keeper.Touch("one") },
		"seen":    func(r *sharedRig) { r.keeper.Look() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				g := r.start()
				synctest.Wait()
				r.pause("one", 0)
				for n := range uint64(3) {
					if sent := r.sends(func() {
						time.Sleep(time.Hour)
						r.botRefreshes(true)
						notice(r)
						synctest.Wait()
					}); sent != 0 {
						t.Errorf("%d requests", sent)
					}
					r.wants(n+2, store.OriginExternal)
					r.isPaused("one", "taken")
				}
				_ = g.end()
			})
		})
	}
}

// Many that are resumed at once take no more room than others do.
func TestManyAreResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 40)
		for n := range names {
			names[n] = fmt.Sprint("a", n)
		}
		r := newRig(t, 20*time.Minute, names...)
		g := r.start()
		synctest.Wait()
		for _, name := range names {
			r.pause(name, 0)
		}
		time.Sleep(time.Hour)
		r.broker.setTakes(10 * time.Second)
		for _, name := range names {
			r.resume(name)
		}
		synctest.Wait()
		for range 10 {
			if n := r.keeper.InFlight(); n > 4 {
				t.Errorf("%d are in flight", n)
			}
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10 * time.Second)
		for _, name := range names {
			if v := r.record(name).Version; v != 2 {
				t.Errorf("account %s is at version %d", name, v)
			}
		}
		_ = g.end()
	})
}

// An attempt of which nobody knows the outcome is not made again while the account is
// paused, and at its moment afterwards.
func TestPauseHoldsBackAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.next("one", fault{loseAnswer: true})
		g := r.start()
		for r.status("one").AmbiguousSince.IsZero() {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		r.pause("one", 0)
		if n := r.sends(func() { time.Sleep(time.Hour) }); n != 0 {
			t.Errorf("%d requests", n)
		}
		r.isPaused("one", "an hour later")
		if n := r.sends(func() { r.resume("one"); time.Sleep(time.Minute) }); n == 0 {
			t.Error("it is not sent again once it is resumed")
		}
		_ = g.end()
	})
}

// No session of a paused account is kept alive, and a lost one brings no token.
func TestPausedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Hour, "one")
		g := r.start()
		synctest.Wait()
		if _, _, ok, _ := r.keeper.Session("one"); !ok {
			t.Fatal("it has no session before")
		}
		r.pause("one", time.Hour)
		if _, _, ok, _ := r.keeper.Session("one"); ok {
			t.Error("its session is kept alive")
		}
		if n := r.sends(func() { r.keeper.SessionGone("one", 1, true); time.Sleep(time.Minute) }); n != 0 {
			t.Errorf("%d requests", n)
		}
		_ = g.end()
	})
}
