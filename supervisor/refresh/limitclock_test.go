package refresh_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// An hour of sleep frees the hour's requests, for who sleeps and for who starts then.
func TestSleepAgesRequests(t *testing.T) {
	for _, anew := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
			g := r.start()
			if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
				t.Fatal(err)
			}
			r.suspend(8 * time.Hour)
			if anew {
				g = r.anew(g)
			}
			r.keeper.Look()
			time.Sleep(time.Minute)
			synctest.Wait()
			if !r.record("one").Token.Valid(r.wall()) {
				t.Errorf("anew %t: a minute after it woke: %s", anew, r.status("one").WaitingText)
			}
			_ = g.end()
		})
	}
}

// However the clock is set, and whoever starts anew meanwhile, requests are as old as
// they are.
func TestClockThatIsSetAgesNoRequests(t *testing.T) {
	const month = 30 * 24 * time.Hour
	for _, jump := range []time.Duration{-month, month} {
		synctest.Test(t, func(t *testing.T) {
			r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 1})
			g := r.start()
			insists := func() error {
				_, err := r.keeper.Refresh(t.Context(), "one", true)
				return err
			}
			if err := insists(); err != nil {
				t.Fatal(err)
			}
			for range 2 { // there and back
				r.jumpBy(jump)
				jump = -jump
				g = r.anew(g)
				time.Sleep(25 * time.Minute)
				r.keeper.Look()
				if err := insists(); !errors.Is(err, refresh.ErrLimit) {
					t.Errorf("jump of %s: %v", -jump, err)
				}
			}
			time.Sleep(11 * time.Minute)
			r.keeper.Look()
			synctest.Wait()
			if came := r.broker.came(); len(came) != 2 || mostInAnHour(came) != 1 {
				t.Errorf("jump of %s: %v", jump, came)
			}
			_ = g.end()
		})
	}
}

// Requests of an earlier run of the machine's kernel that the store has in the future,
// because the clock was set back, count for an hour, once.
func TestLimitAfterTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 8*time.Minute, sdk.Limits{RequestsPerHour: 2})
		g := r.start()
		time.Sleep(20 * time.Minute)
		r.jumpBy(-10 * time.Hour)
		r.boot = "boot-2"
		g = r.anew(g)
		time.Sleep(30 * time.Minute)
		g = r.anew(g)
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if came := r.broker.came(); len(came) != 4 || mostInAnHour(came) != 2 {
			t.Errorf("%d requests, %d in the fullest hour: %v", len(came), mostInAnHour(came), came)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}

type noPutRequests struct{ store.Store }

func (noPutRequests) PutRequests(context.Context, string, []store.Request) error { return errNoSpace }

// After a reboot a disk that can't be written stops no provider: what it has in its
// spool, and whatever else needs no request, goes on.
func TestRequestsThatCantBeNotedAnewStopNoProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 20*time.Minute, sdk.Limits{RequestsPerHour: 10})
		gen := r.start()
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Fatal(err)
		}
		gen.kill()
		_ = gen.end()
		r.store, r.boot = noPutRequests{r.store}, "another-boot"
		r.restart()
		gen = r.start()
		time.Sleep(time.Second)
		if !r.keeper.Serves() {
			t.Errorf("not served: %v", gen.end())
			return
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}
