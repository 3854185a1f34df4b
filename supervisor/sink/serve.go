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
func (w *Worker) serve(ctx context.Context) (stop func()) {
	server, can := w.cfg.Sink.(Server)
	if !can {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for failures := 1; ; failures++ {
			began := time.Now()
			err := safely(func() error { return server.Serve(ctx, w.newest) })
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > w.policy.MaxInterval {
				failures = 1
			}
			pause := w.policy.pause(failures, rand.Float64())
			level := slog.LevelDebug
			if w.policy.loud(failures) {
				level = slog.LevelWarn
			}
			w.publish(note{level, event.Event{
				Type: event.DeliveryFailed, Failures: failures, Max: w.policy.Attempts, Next: w.cfg.Wall().Add(pause),
				Message: fmt.Sprintf("sink %q takes no consumers: %v; trying again in %s", w.cfg.Name, err, pause.Round(time.Second/10)),
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

// newest yields what a consumer that comes now should have.
func (w *Worker) newest(ctx context.Context) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		w.mu.Lock()
		disabled := w.disabled
		w.mu.Unlock()
		if disabled.is() {
			yield(Delivery{}, fmt.Errorf("the sink was disabled by %s", disabled.by))
			return
		}
		if w.tokens == nil {
			return
		}
		heads, err := w.cfg.Store.Heads(ctx)
		if err != nil && heads == nil {
			yield(Delivery{}, fmt.Errorf("can't read the records: %w", err))
			return
		}
		for _, head := range heads {
			if !w.Takes(head.Account) {
				continue
			}
			rec, err := w.cfg.Store.Load(ctx, head.Account)
			if err != nil {
				yield(Delivery{}, fmt.Errorf("can't read what is newest: %w", err))
				return
			}
			if deliverable(rec) && !yield(w.delivery(rec), nil) {
				return
			}
		}
	}
}
