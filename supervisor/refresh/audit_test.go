package refresh_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A fault in the heap is found at the next look, told, and put right: no token
// expires of it.
func TestAFaultInThePlanIsFoundAndMended(t *testing.T) {
	for name, fault := range map[string]func(*schedule.Heap, schedule.Instant){
		"lost":     func(h *schedule.Heap, _ schedule.Instant) { h.Remove("b") },
		"far away": func(h *schedule.Heap, now schedule.Instant) { h.Set("b", now.Wall.Add(time.Hour), now) },
		"all lost": func(h *schedule.Heap, _ schedule.Instant) {
			for _, name := range []string{"a", "b", "c"} {
				h.Remove(name)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "a", "b", "c")
				stop := r.watch()
				gen := r.start()
				time.Sleep(time.Minute)
				r.keeper.Look()
				synctest.Wait()
				if n := r.count(event.PlanMended); n != 0 {
					t.Errorf("told %d times before anything was wrong", n)
				}
				r.keeper.Corrupt(fault)
				for range 50 {
					r.keeper.Look()
					time.Sleep(30 * time.Second)
				}
				if n := r.count(event.PlanMended); n != 1 {
					t.Errorf("told %d times", n)
				}
				r.met(event.PlanMended)
				for _, a := range []string{"a", "b", "c"} {
					if s := r.status(a); s.State != refresh.Valid || s.Record.Version < 2 || s.Waiting != promise.None {
						t.Errorf("%s: %+v", a, s)
					}
				}
				if r.keeper.Stuck() {
					t.Error("the watchdog starves although all is well")
				}
				if err := gen.end(); err != nil {
					t.Error(err)
				}
				stop()
			})
		})
	}
}

// An account that nobody has planned is found when it is due, and not when its token is
// over.
func TestAForgottenAccountIsFoundWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "a", "b")
		defer r.watch()()
		gen := r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		r.keeper.Forget("b")
		for range 2 * 13 { // up to its 14th minute
			r.keeper.Look()
			time.Sleep(30 * time.Second)
		}
		if n := r.count(event.PlanMended); n != 0 || r.status("b").Record.Version != 1 {
			t.Errorf("told %d times before it was due", n)
		}
		for range 5 {
			r.keeper.Look()
			time.Sleep(30 * time.Second)
		}
		if n := r.count(event.PlanMended); n != 1 {
			t.Errorf("told %d times when it was due", n)
		}
		for _, a := range []string{"a", "b"} {
			if s := r.status(a); s.State != refresh.Valid || s.Record.Version != 2 {
				t.Errorf("%s: %s at version %d, before its first token is over", a, s.State, s.Record.Version)
			}
		}
		_ = gen.end()
	})
}

// A loop that does not come although it was woken is told of, and starves the
// watchdog; one that waits for a reason does not.
func TestOnlyALoopThatSleepsStarvesTheWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2*time.Minute, "a")
		stop := r.watch()
		look := func(n int) {
			for range n {
				r.keeper.Look()
				time.Sleep(30 * time.Second)
				synctest.Wait()
			}
		}
		look(20)
		if s := r.status("a"); r.keeper.Stuck() || s.Waiting != promise.Down {
			t.Errorf("without a process: %q, stuck %t", s.Waiting, r.keeper.Stuck())
		}
		// The process waits for the spool of the one before it.
		r.hang(true)
		gen := r.start()
		look(20)
		if r.keeper.Stuck() || r.count(event.PlanMended) > 0 {
			t.Error("a process that does not answer yet starves the watchdog")
		}
		r.hang(false)
		_ = gen.end()

		r.keeper.FallAsleep()
		look(1)
		if r.keeper.Stuck() {
			t.Error("stuck at the first look")
		}
		look(2)
		if s := r.status("a"); !r.keeper.Stuck() || r.count(event.PlanMended) == 0 || s.Waiting != promise.None {
			t.Errorf("stuck %t, told %d times, waits %q", r.keeper.Stuck(), r.count(event.PlanMended), s.Waiting)
		}
		stop()
	})
}

// Whatever happens in whatever order: an account past its due moment is in
// flight or has a reason, and the audit finds nothing.
func TestNobodyWaitsWithoutAReason(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 11), 5, 25).Draw(rt, "steps")
		which := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), len(steps), len(steps)).Draw(rt, "accounts")
		failed := ""
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 10*time.Minute, "a", "b", "c", "d", "e")
			stop := r.watch()
			gen := r.start()
			for i, step := range steps {
				name := which[i]
				switch step {
				case 0:
					r.broker.next(name, fault{loseAnswer: true})
				case 1:
					r.broker.next(name, fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", RetryAfter: 3 * time.Minute}})
				case 2:
					r.broker.next(name, fault{refuse: &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "no", OAuthError: "invalid_grant"}})
				case 3:
					r.broker.next(name, fault{half: true})
				case 4:
					r.keeper.Hold(&refresh.Hold{Reason: "test"})
				case 5:
					r.keeper.Hold(nil)
				case 6:
					r.keeper.Postpone(name, r.wall().Add(15*time.Minute))
				case 7:
					r.keeper.Touch(name)
				case 8:
					_, _ = r.keeper.Import(context.Background(), store.Record{Account: name, Token: r.broker.grant(name)}, true)
				case 9:
					_ = gen.end()
					gen = r.start()
				case 10:
					r.jumpBy(time.Duration(len(name)*7+i-15) * time.Minute)
				case 11:
					r.broker.setDown(i%2 == 0)
				}
				time.Sleep(time.Duration(i%5)*2*time.Minute + time.Second)
				r.keeper.Look()
				synctest.Wait()
				for _, a := range []string{"a", "b", "c", "d", "e"} {
					if s := r.status(a); s.WaitingText != "" && s.Waiting == promise.None && failed == "" {
						failed = fmt.Sprintf("step %d: %s waits without a reason: %+v", i, a, s)
					}
				}
			}
			_ = gen.end()
			stop()
			if r.count(event.PlanMended) > 0 && failed == "" {
				for _, e := range r.events {
					if e.Type == event.PlanMended {
						failed = e.Message
					}
				}
			}
		})
		if failed != "" {
			rt.Fatal(failed)
		}
	})
}

// BenchmarkLook is one look at 100,000 accounts. In short it is a thousand.
func BenchmarkLook(b *testing.B) {
	n := 100_000
	if testing.Short() {
		n = 1000
	}
	s := store.NewMemory()
	r := &rig{}
	var accounts []refresh.Account
	for i := range n {
		accounts = append(accounts, refresh.Account{Account: sdk.Account{Name: fmt.Sprint("a", i)}, Timeout: 30 * time.Second, MaxFailures: 5})
		err := s.Commit(b.Context(), store.Record{
			Account: fmt.Sprint("a", i), Provider: "fake", Version: 1, Grant: 1, StoredAt: time.Now(), Origin: store.OriginLogin,
			Token: sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret(fmt.Sprint("r", i)), IssuedAt: time.Now(), Lifetime: 20 * time.Minute},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	k, err := refresh.NewKeeper(b.Context(), refresh.Config{Provider: "fake", Accounts: accounts, Store: s, Wall: r.wall, MaxInFlight: 4})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		k.Look()
	}
}
