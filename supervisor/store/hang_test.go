package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// However long a disk takes nothing, and whoever wants to write there meanwhile, the log has
// a line when that begins and one when it is over, beside that of the alert. So it is with a
// directory that takes no backup.
func TestADeadDiskIsOneLine(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d, _, bus := openDirectory(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
		s, n := d.Store(), uint64(0)
		// Over more than ten minutes nobody wants to write.
		pass := func(minutes int) (refused int) {
			for second := range minutes * 60 {
				if second%30 == 0 {
					d.Look(t.Context(), func() {})
					synctest.Wait()
					bus.Nudge()
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if minutes > 10 {
					continue
				}
				must(t, s.MarkTried(t.Context(), store.Tried{Sink: "bot", Account: "main", Version: n + 1, Result: store.ResultFailed, Failures: second}))
				if err := s.Commit(t.Context(), next("main", n+1)); err == nil {
					n++
				} else if refused++; !errors.Is(err, store.ErrDisk) {
					t.Fatal(err)
				}
			}
			return refused
		}
		said := func(want ...string) {
			t.Helper()
			for _, line := range want {
				if strings.Count(log.String(), line) != 1 || strings.Count(log.String(), "\n") != len(want) {
					t.Errorf("want a line with %q, and %d in all, got:\n%s", line, len(want), log.String())
				}
			}
			log.Reset()
		}
		pass(2)
		said("the store was backed up")
		inTheWay := filepath.Join(s.Path()+".new", "in the way")
		must(t, os.MkdirAll(inTheWay, 0o700))
		s.BreakFile()
		if refused := pass(10); refused != 600 {
			t.Errorf("%d of 600 changes were refused", refused)
		}
		said("nothing can be stored")
		must(t, os.RemoveAll(filepath.Dir(inTheWay)))
		pass(1)
		said("the store is durable again, in a fresh file", "over=disk_trouble")

		backups := filepath.Join(dir, "backup")
		must(t, errors.Join(os.Rename(backups, backups+"-before"), os.WriteFile(backups, nil, 0o600)))
		time.Sleep(24 * time.Hour)
		pass(40)
		said("no backup could be made")
		must(t, os.Remove(backups))
		pass(20)
		said("a backup could be made again", "the store was backed up", "over=disk_trouble")
	})
}
