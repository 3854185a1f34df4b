package sink

import (
	"context"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

const (
	// grace is how long deliveries in flight may go on when the worker ends,
	// and lastGrace how long sinks have to notice that they are cancelled.
	grace     = 5 * time.Second
	lastGrace = 500 * time.Millisecond
)

// Run delivers until ctx ends, and never returns before. At its start
// everything of which the ledger does not show the newest version gets
// delivered. Deliveries in flight at the end get five seconds to finish, as a slow
// disk or receiver may need; Run returns within six, with ctx's error.
func (w *Worker) Run(ctx context.Context) error {
	defer w.serve(ctx)()
	defer w.tellEvents(ctx)()
	if !w.catchUp(ctx) {
		return ctx.Err()
	}
	// Deliveries outlive ctx by the grace.
	tries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	outcomes := make(chan outcome, w.cfg.MaxConcurrent)
	signs := make(chan error, 1)
	defer w.endAwait()
	defer w.lookBack(ctx)()

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
			w.publish(w.droppedEvents())
		case <-timer.C:
		case o := <-outcomes:
			w.publish(w.settle(o))
			w.await(tries, o, signs)
			w.rest(o.lane)
		case err := <-signs:
			w.signed(err)
		}
	}
}

// takeWakes queues what was woken. While the sink is disabled the lanes are
// made all the same, so that enabling it misses none.
func (w *Worker) takeWakes() {
	woken := w.takeWoken()
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, ln := range woken {
		l := w.lane(ln, key)
		l.fallBehind(w.cfg.Wall())
		w.standing.note(l)
		w.hurry(l)
	}
}

// hurry lets the lane look at once whether there is something newer, or as soon
// as it can. The caller holds mu.
func (w *Worker) hurry(l *lane) {
	_, waits := w.absence.waiting[l]
	switch {
	case l.inFlight:
		l.again = true
	case w.disabled.is():
	case waits: // the consumer gets the newest version when it comes
	default:
		l.put(time.Now())
	}
}

// dispatch starts every try whose moment has come and for which there is room,
// and returns when to look again; ok is false if only an event can bring more.
func (w *Worker) dispatch(ctx context.Context, outcomes chan<- outcome) (next time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disabled.is() {
		return next, false
	}
	now := time.Now()
	for w.inFlight < w.cfg.MaxConcurrent {
		l := w.nextLane(now)
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
	for _, ln := range w.lines {
		if len(ln.queue) > 0 && (!ok || ln.queue[0].at.Before(next)) {
			next, ok = ln.queue[0].at, true
		}
	}
	if a := &w.absence; len(a.waiting) > 0 && a.probe == nil && (!ok || a.due.Before(next)) {
		next, ok = a.due, true
	}
	return next, ok
}

// nextLane takes out the lane whose turn it is, nil if there is none: an alert
// does not wait behind a thousand tokens.
func (w *Worker) nextLane(now time.Time) *lane {
	for _, ln := range w.lines {
		if l := ln.queue.next(now); l != nil {
			return l
		}
	}
	return w.absence.look(now)
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
