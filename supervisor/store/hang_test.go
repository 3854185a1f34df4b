package store_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// openDirectory is a state directory as a supervisor has it, and the alerts over it, which
// are what status shows. Nothing else of a supervisor runs.
func openDirectory(t *testing.T, dir string, log *slog.Logger) (*statedir.Dir, *alert.Engine, *event.Bus) {
	t.Helper()
	bus := event.NewBus(log, time.Now)
	d, err := statedir.Open(statedir.Config{Path: dir, Wall: time.Now, Events: bus, Log: log, Provider: func(string) string { return "" }})
	must(t, err)
	e, err := alert.New(t.Context(), alert.Config{
		Store: d.Store(), Policy: alert.Policy{Repeat: time.Hour}, Events: bus, Wake: func(string) {},
		Told: func(context.Context, event.Alert) bool { return true },
		Snapshot: func(map[string]bool) alert.Snapshot {
			s := alert.Snapshot{Now: time.Now(), Facts: d.Facts().All()}
			if err := d.Store().Fault(); err != nil {
				s.StoreFault = err.Error()
			}
			return s
		},
	})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, errors.Join(<-ended, d.Close()))
	})
	return d, e, bus
}

// A sync that does not come back is a fault of the store and an alert about a second after
// it began, whoever waits for it: also where the alerts' own is the first that does.
func TestASyncThatHangsIsAnAlertWithinASecond(t *testing.T) {
	for _, who := range []string{"a commit", "an alert"} {
		t.Run(who, func(t *testing.T) {
			dir := stateDir(t)
			synctest.Test(t, func(t *testing.T) {
				d, e, bus := openDirectory(t, dir, slog.New(slog.DiscardHandler))
				shown := func() (found bool) {
					all, err := e.Alerts(t.Context())
					must(t, err)
					for _, a := range all {
						found = found || a.Type == event.DiskTrouble && a.State == event.AlertRaised
					}
					return found
				}
				commit(t, d.Store(), "main", 1, 1)
				var once atomic.Int64
				once.Store(int64(20 * time.Second))
				d.Store().HangAs(func() time.Duration { return time.Duration(once.Swap(0)) })
				done := make(chan error, 1)
				if who == "a commit" {
					go func() { done <- d.Store().Commit(t.Context(), next("main", 2)) }()
				} else {
					d.Facts().Meet(slog.LevelError, event.Event{Type: event.StoreDisplaced, Message: "it was moved"})
					done <- nil
				}
				time.Sleep(900 * time.Millisecond)
				if d.Store().Fault() != nil || shown() {
					t.Errorf("told of a slow disk: fault %v", d.Store().Fault())
				}
				time.Sleep(200 * time.Millisecond)
				synctest.Wait()
				if !errors.Is(d.Store().Fault(), store.ErrDisk) || !shown() {
					t.Errorf("a second later: fault %v, alert: %t", d.Store().Fault(), shown())
				}
				must(t, <-done)
				time.Sleep(time.Minute)
				bus.Nudge()
				synctest.Wait()
				if d.Store().Fault() != nil || shown() {
					t.Errorf("it is over: fault %v, alert: %t", d.Store().Fault(), shown())
				}
			})
		})
	}
}
