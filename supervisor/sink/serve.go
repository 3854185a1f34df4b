package sink

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// serve lets a sink that consumers connect to take them, until stop is called.
// It outlives ctx by as much as the deliveries do.
func serve(ctx context.Context, s *state) (stop func()) {
	server, can := s.Sink.(Server)
	if !can {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	at := atDoor{s}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for failures := 1; ; failures++ {
			began := time.Now()
			open := time.AfterFunc(s.Policy.Interval, at.opened)
			err := safely(func() error { return server.Serve(ctx, s.newest) })
			open.Stop()
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > s.Policy.MaxInterval {
				failures = 1
			}
			at.shut(failures, err)
			pause := s.Policy.pause(failures, rand.Float64())
			level := slog.LevelDebug
			if s.Policy.loud(failures) {
				level = slog.LevelWarn
			}
			s.publish(note{level, event.Event{
				Type: event.DeliveryFailed, Failures: failures, Max: s.Policy.Attempts, Next: s.Wall().Add(pause),
				Message: fmt.Sprintf("sink %q takes no consumers: %v; trying again in %s", s.Name, err, pause.Round(time.Second/10)),
			}})
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() {
		cancel()
		select {
		case <-done:
		case <-time.After(lastGrace):
		}
	}
}

// door is why, and how often in a row, a sink could take no consumers.
type door struct {
	failures  int
	since, at time.Time // of the first and of the last
	why       string
}

// atDoor notes it.
type atDoor struct{ *state }

func (a atDoor) shut(failures int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.door.at = a.Wall()
	if a.door.failures == 0 {
		a.door.since = a.door.at
	}
	a.door.failures, a.door.why = failures, err.Error()
	if failures == a.Policy.Attempts {
		a.nudge()
	}
}

// opened notes that it takes them.
func (a atDoor) opened() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.door.failures > 0 {
		a.nudge()
	}
	a.door = door{}
}

// newest yields what a consumer that comes now should have.
func (s *state) newest(ctx context.Context) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		if by := s.whoDisabled(); by != "" {
			yield(Delivery{}, fmt.Errorf("the sink was disabled by %s", by))
			return
		}
		if !s.takes(KindToken) {
			return
		}
		heads, err := s.Store.Heads(ctx)
		if err != nil && heads == nil {
			yield(Delivery{}, fmt.Errorf("can't read the records: %w", err))
			return
		}
		for _, head := range heads {
			if !s.gets(head.Account) {
				continue
			}
			rec, err := s.Store.Load(ctx, head.Account)
			if err != nil {
				yield(Delivery{}, fmt.Errorf("can't read what is newest: %w", err))
				return
			}
			if deliverable(rec) && !yield(s.delivery(rec), nil) {
				return
			}
		}
	}
}
