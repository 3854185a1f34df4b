package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// tellEvents tells the sink of one lifecycle event after the other until stop
// is called. The one in flight at the end of ctx gets the grace.
func (w *Worker) tellEvents(ctx context.Context) (stop func()) {
	if w.lifecycle == nil {
		return func() {}
	}
	ctx, end := context.WithCancel(ctx)
	tries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	left := make(chan struct{})
	context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, cancel)
		time.AfterFunc(grace+lastGrace, func() { close(left) })
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if e, ok := w.lifecycle.next(); ok {
				w.publish(w.tell(ctx, tries, e))
				continue
			}
			select {
			case <-ctx.Done():
			case <-w.lifecycle.rang:
			}
		}
	}()
	return func() {
		end()
		select {
		case <-done:
		case <-left:
		}
		cancel()
	}
}

// tell tells the sink of one event, in a few tries, and returns what there is
// to say of that. Events are about the present: none is worth holding up the
// next one for long.
func (w *Worker) tell(ctx, tries context.Context, e event.Event) note {
	n := Notice{
		ID:   deliveryID(w.cfg.Name, string(e.Type), e.Seq, e.Time),
		Kind: KindLifecycle, Event: &e,
	}
	for failures := 1; !w.lifecycle.isShut(); failures++ {
		err := w.tellOnce(tries, n)
		switch {
		case err == nil:
			return note{}
		case errors.Is(err, ErrGone):
			return w.goneWhileTelling(err)
		case failures >= w.policy.Attempts, errors.Is(err, ErrRefused):
			w.lifecycle.giveUp()
			return note{slog.LevelWarn, event.Event{
				Type: event.DeliveryFailed, Failures: failures, Max: w.policy.Attempts,
				Message: fmt.Sprintf("sink %q did not take the event %q (%s), which is dropped: %v", w.cfg.Name, e.Type, e.Message, err),
			}}
		}
		pause := w.policy.pause(failures, rand.Float64())
		if after, ok := asked(err); ok {
			pause = max(pause, after)
		}
		select {
		case <-ctx.Done():
			return note{}
		case <-time.After(pause):
		}
	}
	return note{}
}

func (w *Worker) tellOnce(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, w.policy.Timeout)
	defer cancel()
	err := safely(func() error { return w.notify(ctx, n) })
	now := w.cfg.Wall()
	if errors.Is(err, ErrAbsent) {
		return err
	}
	w.lifecycle.tried(err != nil, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.totals.succeeded(now, max(0, now.Sub(n.Event.Time)))
	} else {
		w.totals.failed(now, err.Error())
	}
	return err
}

// goneWhileTelling disables a sink whose receiver says that it is gone.
func (w *Worker) goneWhileTelling(err error) note {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disabled.is() {
		return note{}
	}
	w.disable(byReceiver, w.cfg.Wall())
	return w.goneNote(err)
}
