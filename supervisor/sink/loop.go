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

const (
	// grace is how long deliveries in flight may go on when the worker ends,
	// and lastGrace how long sinks have to notice that they are cancelled.
	grace     = time.Second
	lastGrace = 500 * time.Millisecond
)

// Run delivers until ctx ends, and never returns before. At its start every
// account whose newest version the ledger does not show gets delivered.
// Deliveries in flight at the end get a second to finish; Run returns within
// two, with ctx's error.
func (w *Worker) Run(ctx context.Context) error {
	defer w.serve(ctx)()
	if !w.catchUp(ctx) {
		return ctx.Err()
	}
	// Deliveries outlive ctx by the grace.
	tries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	outcomes := make(chan outcome, w.cfg.MaxConcurrent)
	signs := make(chan error, 1)
	defer w.endAwait()

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next, ok := w.dispatch(tries, outcomes); ok {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			w.drain(cancel, outcomes)
			return ctx.Err()
		case <-w.wake:
			w.takeWakes()
		case <-timer.C:
		case o := <-outcomes:
			w.publish(w.settle(o))
			w.await(tries, o, signs)
		case err := <-signs:
			w.signed(err)
		}
	}
}

// catchUp reads the ledger and queues what the sink lacks. It retries until it
// has it or ctx ends.
func (w *Worker) catchUp(ctx context.Context) bool {
	for failures := 1; ; failures++ {
		err := w.readLedger(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		pause := w.policy.pause(failures, rand.Float64())
		w.publish(note{slog.LevelWarn, event.Event{
			Type: event.DeliveryFailed, Failures: failures, Max: w.policy.Attempts,
			Message: fmt.Sprintf("sink %q can't start: can't read what it has: %v; trying again in %s", w.cfg.Name, err, pause.Round(time.Second)),
		}})
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func (w *Worker) readLedger(ctx context.Context) error {
	ledger, err := w.cfg.Store.Deliveries(ctx, w.cfg.Name)
	if err != nil {
		return err
	}
	records, err := w.cfg.Store.List(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lanes, w.queue, w.absence, w.inFlight = map[string]*lane{}, nil, absence{}, 0
	for _, rec := range records {
		if !w.Takes(rec.Account) {
			continue
		}
		l := w.lane(rec.Account)
		l.delivered = ledger[rec.Account]
		if behind(l.delivered, rec) && !w.disabled {
			w.queue.put(l, time.Now())
		}
	}
	return nil
}

// lane returns the account's lane, a new one if need be. The caller holds mu.
func (w *Worker) lane(account string) *lane {
	l := w.lanes[account]
	if l == nil {
		l = &lane{account: account, index: -1}
		w.lanes[account] = l
	}
	return l
}

// takeWakes queues the accounts that were woken.
func (w *Worker) takeWakes() {
	accounts := w.takeWoken()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disabled {
		return
	}
	for _, account := range accounts {
		l := w.lane(account)
		_, waits := w.absence.waiting[l]
		switch {
		case l.inFlight:
			l.again = true
		case waits: // the consumer gets the newest version when it comes
		default:
			w.queue.put(l, time.Now())
		}
	}
}

// dispatch starts every try whose moment has come and for which there is room,
// and returns when to look again; ok is false if only an event can bring more.
func (w *Worker) dispatch(ctx context.Context, outcomes chan<- outcome) (next time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disabled {
		return next, false
	}
	now := time.Now()
	for w.inFlight < w.cfg.MaxConcurrent {
		l := w.queue.next(now)
		if l == nil {
			l = w.absence.look(now)
		}
		if l == nil {
			break
		}
		l.inFlight = true
		w.inFlight++
		view := *l
		go func() { outcomes <- w.try(ctx, l, view) }()
	}
	if w.inFlight >= w.cfg.MaxConcurrent {
		return next, false
	}
	if len(w.queue) > 0 {
		next, ok = w.queue[0].at, true
	}
	if a := &w.absence; len(a.waiting) > 0 && a.probe == nil && (!ok || a.due.Before(next)) {
		next, ok = a.due, true
	}
	return next, ok
}

// await lets a sink that can tell when its consumer comes do so, after a try
// that found it absent.
func (w *Worker) await(ctx context.Context, o outcome, signs chan<- error) {
	waiter, can := w.cfg.Sink.(Waiter)
	if !can || !errors.Is(o.err, ErrAbsent) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.absence.present() || w.absence.stop != nil || w.disabled {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	w.absence.stop = cancel
	go func() {
		err := awaitSafely(ctx, waiter)
		if ctx.Err() != nil {
			return // nobody awaits it any more
		}
		select {
		case signs <- err:
		case <-ctx.Done():
		}
	}()
}

func awaitSafely(ctx context.Context, waiter Waiter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return waiter.Await(ctx)
}

// signed takes what Await returned.
func (w *Worker) signed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.absence.endAwait()
		return
	}
	w.absence.sign(time.Now())
}

func (w *Worker) endAwait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.absence.endAwait()
}

// drain waits for the deliveries in flight: first for them to end, then for
// them to notice that they are cancelled. What is still hanging is left behind.
func (w *Worker) drain(cancel context.CancelFunc, outcomes <-chan outcome) {
	w.endAwait()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for cancelled := false; ; {
		w.mu.Lock()
		inFlight := w.inFlight
		w.mu.Unlock()
		if inFlight == 0 {
			return
		}
		select {
		case o := <-outcomes:
			if n := w.settle(o); o.delivered != nil {
				w.publish(n)
			}
		case <-timer.C:
			if cancelled {
				return
			}
			cancelled = true
			cancel()
			timer.Reset(lastGrace)
		}
	}
}

// note is an event on its way to the bus.
type note struct {
	level slog.Level
	event event.Event
}

// publish is called without mu: a log that blocks must hold up this worker
// alone, and neither Wake nor Status.
func (w *Worker) publish(n note) {
	if n.event.Type == "" || w.cfg.Events == nil {
		return
	}
	n.event.Sink = w.cfg.Name
	w.cfg.Events.Publish(n.level, n.event)
}
