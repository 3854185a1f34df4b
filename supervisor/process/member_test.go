package process

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestBackoffGrowsAndIsResetByHealth(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		for range 12 { // each dies as soon as it serves
			r.launcher.newest().exit(errors.New("exit status 2"))
			for n := r.launcher.count(); r.launcher.count() == n; {
				r.after(100 * time.Millisecond)
			}
		}
		want := 500 * time.Millisecond
		for i, wait := range r.launcher.waits() {
			// A tenth of a second is the grain at which the test lets them die.
			if wait < want || wait > min(want+want/4, 2*time.Minute)+100*time.Millisecond {
				t.Errorf("wait %d is %s, want %s and up to a quarter more", i, wait, want)
			}
			want = min(2*want, 2*time.Minute)
		}
		r.after(time.Minute) // healthy
		before := len(r.launcher.waits())
		died := time.Now()
		r.launcher.newest().exit(errors.New("exit status 2"))
		r.after(700 * time.Millisecond)
		if n := len(r.launcher.waits()); n != before+1 {
			t.Fatalf("not started again %s after a death in good health", time.Since(died))
		}
	})
}

func TestCrashLoopShowsAndEnds(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		for i := range 8 {
			r.launcher.newest().exit(errors.New("exit status 2"))
			synctest.Wait()
			want := Backoff
			if i >= 4 {
				want = Crashing
			}
			r.state(want)
			if !r.nudged() {
				t.Fatalf("crash %d: nobody looks", i+1)
			}
			if s := r.member.Status(); s.NextStart.Before(time.Now()) || s.Crashes != i+1 || s.PID != 0 {
				t.Fatalf("crash %d: %+v", i+1, s)
			}
			for n := r.launcher.count(); r.launcher.count() == n; {
				r.after(100 * time.Millisecond)
			}
			r.state(Running)
		}
		if told := r.told(); told[event.ProviderStopped] != 8 {
			t.Fatalf("told %v", told)
		}
		r.nudged()
		r.after(time.Minute)
		if !r.nudged() {
			t.Fatal("nobody looks after a minute of health")
		}
		r.after(time.Hour)
		if told := r.told(); len(told) != 0 {
			t.Fatalf("told %v although nothing happened", told)
		}
	})
}

func TestFaultParksUntilRestart(t *testing.T) {
	fault := &Fault{Kind: WrongChecksum, Message: "the checksum is wrong", Remedy: "put it right"}
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		r.state(Parked)
		select {
		case <-r.member.Ready():
		default:
			t.Error("a parked provider keeps the supervisor from being ready")
		}
		r.after(24 * time.Hour)
		if n := len(r.launcher.waits()); n != 0 {
			t.Fatalf("a parked provider was started %d times", n)
		}
		if told := r.told(); told[event.ProviderParked] != 1 || len(told) != 1 {
			t.Fatalf("told %v", told)
		}
		if _, err := r.member.Restart(t.Context()); err == nil || !strings.Contains(err.Error(), "put it right") {
			t.Fatalf("restart before the mending: %v", err)
		}
		synctest.Wait()
		r.state(Parked)
		r.told()
		r.launcher.fail(nil)
		got, err := r.member.Restart(t.Context())
		if err != nil || got.OldPID != 0 || got.PID != 1000 {
			t.Fatalf("restart: %+v, %v", got, err)
		}
		synctest.Wait()
		r.state(Running)
		if told := r.told(); told[event.ProviderStarted] != 1 || !r.nudged() {
			t.Fatalf("told %v, or nobody looks", told)
		}
	}, func(r *rig) { r.launcher.err = fault })
}

func TestOtherProviderIsParked(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		r.state(Parked)
		if in := r.launcher.newest(); !in.ended {
			t.Error("the process of the wrong provider still runs")
		}
		if s := r.member.Status(); !strings.Contains(s.LastError, `"other"`) || !strings.Contains(s.LastError, `"fake"`) {
			t.Errorf("last error %q", s.LastError)
		}
	}, func(r *rig) { r.launcher.name = "other" })
}

func TestFailedStartIsReadyAndTriedAgain(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		r.state(Backoff)
		select {
		case <-r.member.Ready():
		default:
			t.Error("not ready after a start that failed")
		}
		r.launcher.fail(nil)
		r.after(time.Second)
		r.state(Running)
	}, func(r *rig) { r.launcher.err = errors.New("no more processes") })
}

func TestRestartLetsTheAttemptFinish(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		old := r.launcher.newest()
		land := r.work.attempt(30 * time.Second)
		time.AfterFunc(20*time.Second, land)
		began := time.Now()
		got, err := r.member.Restart(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 20*time.Second {
			t.Errorf("the restart took %s, the attempt 20s", d)
		}
		if got != (Restarted{OldPID: 1000, PID: 1001, Generation: 2}) {
			t.Errorf("restarted: %+v", got)
		}
		if !old.ended || !old.killed().IsZero() {
			t.Error("the old process was not ended in peace")
		}
		if s := r.member.Status(); s.Restarts != 1 || s.Crashes != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRestartSkipsBackoff(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		for range 3 {
			r.launcher.newest().exit(errors.New("exit status 2"))
			r.after(2500 * time.Millisecond)
		}
		r.launcher.newest().exit(errors.New("exit status 2"))
		synctest.Wait()
		r.state(Backoff)
		began := time.Now()
		if _, err := r.member.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("the restart waited %s", d)
		}
	})
}

func TestRestartOfADyingProcessSkipsBackoff(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		for range 100 { // the order of the two is chance
			synctest.Wait()
			began := time.Now()
			r.launcher.newest().exit(errors.New("exit status 2"))
			if _, err := r.member.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d != 0 {
				t.Fatalf("the restart waited %s", d)
			}
		}
	})
}

func TestRestartsAtOnceAreOne(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		time.AfterFunc(time.Second, r.work.attempt(30*time.Second))
		results := make(chan Restarted, 3)
		for range 3 {
			go func() {
				got, err := r.member.Restart(t.Context())
				if err != nil {
					t.Error(err)
				}
				results <- got
			}()
		}
		for range 3 {
			if got := <-results; got.Generation != 2 {
				t.Errorf("restarted: %+v", got)
			}
		}
		r.after(time.Minute)
		if s := r.member.Status(); s.Generation != 2 {
			t.Errorf("generation %d after three restarts at once", s.Generation)
		}
	})
}

func TestRestartAnswersInEveryEnd(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		land := r.work.attempt(10 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.member.Restart(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that gives up: %v", err)
		}
		answered := make(chan error, 1)
		go func() {
			_, err := r.member.Restart(t.Context())
			answered <- err
		}()
		synctest.Wait()
		r.stop()
		synctest.Wait()
		land()
		if err := <-answered; err == nil {
			t.Error("a restart succeeded in a supervisor that stops")
		}
		<-r.done
		r.state(Stopped)
		if _, err := r.member.Restart(t.Context()); err == nil {
			t.Error("a restart succeeded after the end")
		}
	})
}

func TestShutdownWaitsForTheAttempt(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		time.AfterFunc(25*time.Second, r.work.attempt(30*time.Second))
		began := time.Now()
		r.stop()
		<-r.done
		if d := time.Since(began); d != 25*time.Second {
			t.Errorf("the end took %s, the attempt 25s", d)
		}
		if in := r.launcher.newest(); !in.ended || !in.killed().IsZero() {
			t.Error("the process was not ended in peace")
		}
	})
}

func TestPanicOfTheRefreshLoopIsACrash(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		r.state(Backoff)
		last := r.member.Status().LastError
		if !strings.Contains(last, "panicked") || strings.Contains(last, "a token") {
			t.Errorf("last error %q", last)
		}
		r.work.mu.Lock()
		r.work.panics = false
		r.work.mu.Unlock()
		r.after(time.Second)
		r.state(Running)
	}, func(r *rig) { r.work.panics = true })
}

// A process whose connection was lost may hear out what was in flight until its deadline:
// it has the time for that, and no more.
func TestLostConnectionIsHeardOut(t *testing.T) {
	for name, tt := range map[string]struct {
		attempt time.Duration // 0: none was made
		want    time.Duration
	}{
		"nothing was in flight":    {0, 5 * time.Second},
		"an attempt was in flight": {20 * time.Second, 25 * time.Second},
		"an attempt of minutes":    {10 * time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var lost chan struct{}
			simulate(t, func(t *testing.T, r *rig) {
				r.after(time.Second)
				if tt.attempt != 0 {
					r.work.attempt(tt.attempt)
				}
				in := r.launcher.newest()
				close(lost)
				r.after(2 * exitNews)
				in.mu.Lock()
				defer in.mu.Unlock()
				if !in.ended || in.grace > tt.want || in.grace < tt.want-exitNews {
					t.Errorf("ended: %t, with %s, want %s", in.ended, in.grace, tt.want)
				}
				r.work.mu.Lock()
				r.work.landed = nil
				r.work.mu.Unlock()
			}, func(r *rig) {
				lost = make(chan struct{})
				r.work.lost, r.health = lost, HealthPolicy{DrainGrace: time.Minute}
			})
		})
	}
}
