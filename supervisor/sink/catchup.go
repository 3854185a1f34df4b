package sink

import (
	"context"
	"fmt"
	"iter"
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
	read := make([]standings, len(w.lines))
	for i, ln := range w.lines {
		things, err := ln.list(ctx)
		if things == nil && err != nil {
			return err
		}
		if err != nil {
			// One damaged record keeps nothing from the others.
			w.publish(note{slog.LevelWarn, event.Event{
				Type:    event.DeliveryFailed,
				Message: fmt.Sprintf("sink %q starts without what can't be read: %v", w.cfg.Name, err),
			}})
		}
		if read[i], err = w.compare(ctx, ln, things); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.lanes
	w.lanes, w.standing, w.spokesmen, w.absence, w.inFlight = map[string]*lane{}, standing{}, spokesmen{}, absence{}, 0
	for i, ln := range w.lines {
		ln.queue, ln.resting = nil, read[i].resting
		w.standing.count(ln, len(ln.resting))
		w.totals.resume(read[i].newest)
		for _, o := range read[i].open {
			w.resume(w.lane(ln, o.key), o, old[o.key])
		}
	}
	for key, before := range old {
		if _, rests := before.line.resting[key]; rests && before.wished() {
			w.resume(w.lane(before.line, key), open{}, before)
		}
	}
	return nil
}

// standings are what a sink has of the things of one line.
type standings struct {
	resting map[string]resting
	open    []open // ordered as they were listed
	newest  store.Delivery
}

// open is a thing that the sink lacks, or that can't rest.
type open struct {
	thing
	has   store.Delivery
	lacks bool
}

// compare reads line after line of the ledger, so that the start of many sinks
// of many accounts holds in memory little more than what they lack.
func (w *Worker) compare(ctx context.Context, ln *line, things iter.Seq[thing]) (standings, error) {
	s := standings{resting: map[string]resting{}}
	for th := range things {
		has, err := w.cfg.Store.Delivery(ctx, w.cfg.Name, th.key)
		if err != nil {
			return s, err
		}
		if has.Version > 0 && has.At.After(s.newest.At) {
			s.newest = has
		}
		lacks := ln.lacks(th.edition, th.since, has)
		if r, ok := restingAt(has); ok && !lacks {
			s.resting[th.key] = r
			continue
		}
		s.open = append(s.open, open{th, has, lacks})
	}
	return s, nil
}

// resume puts a lane to where the ledger says that it was, and queues it if the
// sink lacks what is newest. before is the lane in an earlier run of this
// worker, nil if there was none. The caller holds mu.
func (w *Worker) resume(l *lane, o open, before *lane) {
	if before != nil {
		l.asked, l.answered, l.forced = before.asked, before.answered, before.forced
	}
	if o.key != "" {
		l.delivered = o.has
	}
	if o.lacks {
		// It lacks the newest since that became durable, and has lacked those
		// before it for longer.
		l.since, l.atLeast = o.since, o.version > o.has.Version+1
		if o.has.Result != store.ResultDelivered {
			l.failures, l.lastError = o.has.Failures, o.has.Error
		}
	}
	w.standing.note(l)
	if (o.lacks || l.wished()) && !w.disabled.is() {
		l.put(time.Now())
	}
}

// lane returns the lane of a key, a new one if need be. The caller holds mu.
func (w *Worker) lane(ln *line, key string) *lane {
	l := w.lanes[key]
	if l != nil {
		return l
	}
	l = &lane{line: ln, key: key, index: -1}
	w.lanes[key] = l
	if r, rests := ln.resting[key]; rests {
		l.delivered = r.delivery(w.cfg.Name, key)
		delete(ln.resting, key)
		return l
	}
	w.standing.count(ln, 1)
	return l
}

// forget drops a lane of which there is nothing to bring. The caller holds mu.
func (w *Worker) forget(l *lane) {
	if w.lanes[l.key] != l {
		return
	}
	delete(w.lanes, l.key)
	w.standing.count(l.line, -1)
	l.since, l.failures, l.losing, l.due = time.Time{}, 0, 0, time.Time{}
	w.standing.note(l)
}
