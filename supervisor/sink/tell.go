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

// teller tells a sink of one lifecycle event after the other.
type teller struct{ *state }

// add hands it an event.
func (t teller) add(e event.Event) {
	switch {
	case t.events == nil, !IsLifecycle(e), e.Sink == t.Name,
		e.Account != "" && !t.concerns(e.Account),
		t.getsAlerts() && comesAsAlert(e):
		return
	}
	if t.events.add(e) {
		go t.publish(t.tooSlow()) // whoever hands events over must not wait
	}
}

// tooSlow says, once for each burst, that events are dropped.
func (t teller) tooSlow() note {
	return note{slog.LevelWarn, event.Event{
		Type: event.DeliveryFailed,
		Message: fmt.Sprintf("sink %q is too slow for the lifecycle events: %d wait, and the oldest of them are dropped; see its last error with: tokenkeeper sinks",
			t.Name, maxEvents),
	}}
}

// start tells until stop is called. The event in flight at the end of ctx gets
// the grace.
func (t teller) start(ctx context.Context) (stop func()) {
	if t.events == nil {
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
			if e, ok := t.events.next(); ok {
				t.publish(t.tell(ctx, tries, e))
				continue
			}
			select {
			case <-ctx.Done():
			case <-t.events.rang:
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
func (t teller) tell(ctx, tries context.Context, e event.Event) note {
	n := Notice{
		ID:   deliveryID(t.Name, string(e.Type), e.Seq, e.Time),
		Kind: KindLifecycle, Event: &e,
	}
	for failures := 1; !t.events.isShut(); failures++ {
		inRow, err := t.tellOnce(tries, n)
		switch {
		case err == nil:
			return note{}
		case errors.Is(err, ErrGone):
			return t.gone(err)
		case failures >= t.Policy.Attempts, errors.Is(err, ErrRefused):
			t.events.giveUp()
			return note{slog.LevelWarn, event.Event{
				Type: event.DeliveryFailed, Failures: inRow, Max: t.Policy.Attempts,
				Message: fmt.Sprintf("sink %q did not take the event %q (%s), which is dropped: %v", t.Name, e.Type, e.Message, err),
			}}
		}
		pause := t.Policy.pause(failures, rand.Float64())
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

// tellOnce makes one try; inRow is how many have failed in a row with it.
func (t teller) tellOnce(ctx context.Context, n Notice) (inRow int, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.Policy.Timeout)
	defer cancel()
	err = safely(func() error { return t.notify(ctx, n) })
	now := t.Wall()
	if errors.Is(err, ErrAbsent) {
		return 0, err
	}
	inRow = t.events.tried(err != nil, now)
	if inRow == t.Policy.Attempts || err == nil && inRow > 0 {
		t.nudge()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.totals.succeeded(now, max(0, now.Sub(n.Event.Time)))
	} else {
		t.totals.failed(now, err.Error())
	}
	return inRow, err
}

// gone disables a sink whose receiver says that it is gone.
func (t teller) gone(err error) note {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.disabled.is() {
		return note{}
	}
	t.disable(byReceiver)
	return t.disabled.gone(t.Name, t.Policy.Attempts, err)
}
