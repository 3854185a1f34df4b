package sink

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

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
	items := make([][]item, len(w.lines))
	for i, ln := range w.lines {
		if items[i], err = ln.list(ctx); err == nil {
			continue
		}
		if items[i] == nil {
			return err
		}
		// One damaged record keeps nothing from the others.
		w.publish(note{slog.LevelWarn, event.Event{
			Type:    event.DeliveryFailed,
			Message: fmt.Sprintf("sink %q starts without what can't be read: %v", w.cfg.Name, err),
		}})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.lanes
	w.lanes, w.standing, w.absence, w.inFlight = map[string]*lane{}, standing{}, absence{}, 0
	for i, ln := range w.lines {
		ln.queue = nil
		for _, it := range items[i] {
			w.resume(w.lane(ln, it.key), it, old[it.key], ledger[it.key])
		}
	}
	return nil
}

// resume puts a lane to where the ledger says that it was, and queues it if the
// sink lacks what is newest. before is the lane in an earlier run of this
// worker, nil if there was none. The caller holds mu.
func (w *Worker) resume(l *lane, it item, before *lane, has store.Delivery) {
	if before != nil {
		l.gate, l.asked, l.answered = before.gate, before.asked, before.answered
	}
	l.delivered = has
	w.totals.resume(has)
	lacks := it.lacks(has)
	if lacks {
		l.since = it.since
		if has.Result != store.ResultDelivered {
			l.failures, l.lastError = has.Failures, has.Error
		}
	}
	w.standing.note(l)
	if (lacks || l.asked != l.answered) && !w.disabled.is() {
		l.put(time.Now())
	}
}

// lane returns the lane of a key, a new one if need be. The caller holds mu.
func (w *Worker) lane(ln *line, key string) *lane {
	l := w.lanes[key]
	if l == nil {
		l = &lane{line: ln, key: key, gate: newGate(), index: -1}
		w.lanes[key] = l
		w.standing.count(l, 1)
	}
	return l
}

// forget drops a lane of which there is nothing to bring. The caller holds mu.
func (w *Worker) forget(l *lane) {
	if w.lanes[l.key] != l {
		return
	}
	delete(w.lanes, l.key)
	w.standing.count(l, -1)
	l.since, l.failures, l.due = time.Time{}, 0, time.Time{}
	w.standing.note(l)
}
