package watchdog

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// quiet is a supervisor to which nothing happens.
type quiet struct{ ready chan struct{} }

func (q quiet) Ready() <-chan struct{}   { return q.ready }
func (quiet) IsReady()                   {}
func (quiet) Look() (progress bool)      { return true }
func (quiet) LookAtDisk(context.Context) {}
func (quiet) Standing() string           { return "all 2 accounts are valid" }
func (quiet) Awaited() string            { return "the broker's answer about main, which takes 25s at most" }
func (quiet) LongestStop() time.Duration { return time.Minute }

// A log that says nothing for long shows all the same that somebody is at work,
// and what a stop waits for.
func TestTheLogOfAQuietDay(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Hour+time.Minute)
		defer stop()
		ready := make(chan struct{})
		close(ready)
		if err := (Watchdog{Watched: quiet{ready}, Log: slog.New(slog.NewTextHandler(&log, nil))}).Run(ctx); err != nil {
			t.Fatal(err)
		}
		got := log.String()
		for line, times := range map[string]int{
			`level=INFO msg="tokenkeeper goes on: all 2 accounts are valid"`:                              3,
			`level=INFO msg="the stop waits for the broker's answer about main, which takes 25s at most"`: 1,
		} {
			if n := strings.Count(got, line); n != times {
				t.Errorf("%d times %s, want %d:\n%s", n, line, times, got)
			}
		}
	})
}

// Without a service manager nothing is said, and no timer is left that wakes the process
// up after each look.
func TestNoServiceManager(t *testing.T) {
	for socket, managed := range map[string]bool{"": false, "/run/systemd/notify": true} {
		t.Setenv("NOTIFY_SOCKET", socket)
		if m := newManager(slog.New(slog.DiscardHandler)); m.say != nil != managed {
			t.Errorf("with NOTIFY_SOCKET=%q something is said: %t, want %t", socket, m.say != nil, managed)
		}
	}
	manager{}.notify("READY=1") // and no log says that it could not be told
}

// A service manager that takes nothing is not waited for, and hears what is said once it
// takes something again.
func TestServiceManagerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var said []string
		takes := make(chan struct{})
		m := newManager(slog.New(slog.NewTextHandler(&log, nil)))
		m.say = func(state string) error {
			<-takes
			said = append(said, state)
			return nil
		}
		began := time.Now()
		for _, state := range []string{"one", "two", "three"} {
			m.notify(state)
		}
		if took := time.Since(began); took != toldWithin || len(said) != 0 {
			t.Errorf("it is waited for %s, want %s; it was told %q", took, toldWithin, said)
		}
		if n := strings.Count(log.String(), "the service manager could not be told"); n != 3 {
			t.Errorf("%d of 3 are logged:\n%s", n, log.String())
		}
		close(takes)
		synctest.Wait()
		m.notify("four")
		if got := strings.Join(said, " "); got != "one four" {
			t.Errorf("it was told %s", got)
		}
	})
}
