// Package watchdog has the supervisor look around at regular moments, and at once
// when the machine's clock was set or the machine was asleep, and tells the service
// manager that the supervisor is ready, lives and ends.
package watchdog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// lookEvery is how often the clocks are compared. One timer serves all
// providers, so that an idle supervisor wakes twice a minute.
const lookEvery = 30 * time.Second

// goesOnEvery is how often the log says that all goes on, however quiet it is.
const goesOnEvery = time.Hour

// Watched is what is looked at. Its methods are called one after the other.
type Watched interface {
	// Ready closes when the supervisor is ready.
	Ready() <-chan struct{}
	// IsReady is called once, when Ready has closed.
	IsReady()
	// Look looks at everything once more, first when one interval has passed, and
	// says whether all loops make progress: only then the service manager is told
	// that the supervisor lives. It must not wait for a disk.
	Look() (progress bool)
	// LookAtDisk follows each Look, after the service manager was told, and has others
	// do what may take as long as a disk does. It waits for none either.
	LookAtDisk(ctx context.Context)
	// Standing says in one line how everything is.
	Standing() string
	// Awaited is what a stop has to wait for; "": nothing.
	Awaited() string
	// LongestStop is how long a stop may take.
	LongestStop() time.Duration
}

// Watchdog is an actor of the root group.
type Watchdog struct {
	Watched Watched
	// MachineClock: the supervisor goes by the machine's clock, whose kernel can be
	// asked to tell when it was set.
	MachineClock bool
	Log          *slog.Logger
}

// Run returns when ctx has ended.
func (w Watchdog) Run(ctx context.Context) error {
	ready := w.Watched.Ready()
	every := lookEvery
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		every = min(every, limit/2)
	}
	look := w.looks(ctx, every)
	goesOn := time.NewTicker(goesOnEvery)
	defer goesOn.Stop()
	manager := newManager(w.Log)
	told := statusLine{managed: manager.say != nil, notify: manager.notify}
	for {
		select {
		case <-ctx.Done():
			manager.notify(daemon.SdNotifyStopping)
			// However short the time is that the service manager was given for
			// a stop: a refresh that was sent is heard out.
			manager.notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", w.Watched.LongestStop().Microseconds()))
			if awaited := w.Watched.Awaited(); awaited != "" {
				w.Log.Info("the stop waits for " + awaited)
				told.tell(func() string { return "stops; waits for " + awaited })
			} else {
				told.tell(func() string { return "stops" })
			}
			return nil
		case <-ready:
			ready = nil
			w.Log.Info("tokenkeeper is ready")
			w.Watched.IsReady()
			manager.notify(daemon.SdNotifyReady)
			told.tell(w.Watched.Standing)
		case <-look:
			if w.Watched.Look() {
				manager.notify(daemon.SdNotifyWatchdog)
			}
			if ready == nil {
				told.tell(w.Watched.Standing)
			}
			w.Watched.LookAtDisk(ctx)
		case <-goesOn.C:
			w.Log.Info("tokenkeeper goes on: " + w.Watched.Standing())
		}
	}
}

// statusLine is what the service manager shows of the service (STATUS in
// sd_notify(3)).
type statusLine struct {
	managed bool // somebody shows it
	notify  func(state string)
	last    string
}

// tell tells what is new.
func (s *statusLine) tell(text func() string) {
	if !s.managed {
		return
	}
	if now := text(); now != s.last {
		s.last = now
		s.notify("STATUS=" + now)
	}
}

// looks returns a channel that gets a value at every moment to look, until ctx
// ends. The machine's clock also tells when it was set.
func (w Watchdog) looks(ctx context.Context, every time.Duration) <-chan time.Time {
	if w.MachineClock {
		a, err := newAlarm(every)
		if err == nil {
			return a.ticks(ctx)
		}
		w.Log.Warn("the kernel can't tell when the clock is set; it is looked at all the same", "every", every, "error", err)
	}
	ticker := time.NewTicker(every)
	context.AfterFunc(ctx, ticker.Stop)
	return ticker.C
}

// toldWithin bounds the wait for a service manager that takes nothing.
const toldWithin = time.Second

// manager is the service manager, to which one thing at a time is said. It may hang,
// and who watches over the supervisor must not hang with it.
type manager struct {
	say     func(state string) error // nil: there is none
	log     *slog.Logger
	talking chan struct{} // has room for one
}

func newManager(log *slog.Logger) manager {
	m := manager{log: log, talking: make(chan struct{}, 1)}
	if os.Getenv("NOTIFY_SOCKET") != "" {
		m.say = func(state string) error {
			_, err := daemon.SdNotify(false, state)
			return err
		}
	}
	return m
}

func (m manager) notify(state string) {
	if m.say == nil {
		return
	}
	err := errors.New("it has not taken what it was told before")
	select {
	case m.talking <- struct{}{}:
		err = m.tell(state)
	default:
	}
	if err != nil {
		m.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

// tell leaves talking full for as long as the manager does not take it.
func (m manager) tell(state string) error {
	told := make(chan error, 1)
	go func() {
		err := m.say(state)
		<-m.talking
		told <- err
	}()
	late := time.NewTimer(toldWithin)
	defer late.Stop()
	select {
	case err := <-told:
		return err
	case <-late.C:
		return fmt.Errorf("it has not taken it within %s", toldWithin)
	}
}
