package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// TestWhoHasAskedGetsATurn: whatever an account is planned for by itself meanwhile, because it
// is paused, postponed or withheld, whoever waits for a refresh, because there is no room in flight,
// hears what comes of it: what he insists on is made all the same.
func TestWhoHasAskedGetsATurn(t *testing.T) {
	paused := &refresh.IsPaused{}
	for name, c := range map[string]struct {
		meanwhile func(r *rig)
		insists   bool
		refused   func(err error) bool // nil: it is refreshed
	}{
		"nothing":                       {func(*rig) {}, true, nil},
		"paused, and he insists":        {func(r *rig) { r.pause("one", 0) }, true, nil},
		"paused for a while, insisting": {func(r *rig) { r.pause("one", time.Hour) }, true, nil},
		"paused":                        {func(r *rig) { r.pause("one", 0) }, false, func(err error) bool { return errors.As(err, &paused) }},
		"resumed":                       {func(r *rig) { r.pause("one", 0); r.resume("one") }, true, nil},
		"postponed":                     {func(r *rig) { r.keeper.Postpone("one", r.wall().Add(time.Hour)) }, true, nil},
		"withheld":                      {func(r *rig) { r.keeper.Hold(&refresh.Hold{Reason: "another machine's"}) }, true, func(err error) bool { return errors.Is(err, refresh.ErrWithheld) }},
		"withheld no more": {func(r *rig) {
			r.keeper.Hold(&refresh.Hold{Reason: "another machine's"})
			r.keeper.Hold(nil)
		}, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "a", "b", "c", "d", "one")
				g := r.start()
				synctest.Wait()
				if !c.insists { // else he is told at once that it is not due
					r.broker.next("one", fault{beforeSend: sdk.ErrNotSent})
					_, _ = r.keeper.Refresh(t.Context(), "one", true)
				}
				before, proceed := r.record("one").Version, make(chan struct{})
				for _, name := range []string{"a", "b", "c", "d"} { // all that may be in flight
					r.broker.next(name, fault{before: func() { <-proceed }})
					go func() { _, _ = r.keeper.Refresh(t.Context(), name, true) }()
				}
				synctest.Wait()
				outcome := make(chan error, 1)
				go func() {
					_, err := r.keeper.Refresh(t.Context(), "one", c.insists)
					outcome <- err
				}()
				synctest.Wait()
				c.meanwhile(r)
				synctest.Wait()
				close(proceed)
				time.Sleep(time.Minute)
				synctest.Wait()
				select {
				case err := <-outcome:
					if made := r.record("one").Version > before; made != (c.refused == nil) || (err == nil) != made || err != nil && !c.refused(err) {
						t.Errorf("refreshed: %t, %v", made, err)
					}
				default:
					t.Error("a minute later he is told nothing")
				}
				_ = g.end()
			})
		})
	}
}
