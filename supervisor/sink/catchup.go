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

// catchUp finds out by the ledger what the sink lacks.
type catchUp struct {
	*state
	sources
}

// run queues what the sink lacks. It retries until it has read the ledger or ctx
// ends.
func (c catchUp) run(ctx context.Context) bool {
	for failures := 1; ; failures++ {
		err := c.readLedger(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		pause := c.Policy.pause(failures, rand.Float64())
		c.publish(note{slog.LevelWarn, event.Event{
			Type: event.DeliveryFailed, Failures: failures, Max: c.Policy.Attempts,
			Message: fmt.Sprintf("sink %q can't start: can't read what it has: %v; trying again in %s", c.Name, err, pause.Round(time.Second)),
		}})
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func (c catchUp) readLedger(ctx context.Context) error {
	read := map[Kind]standing{}
	for kind, from := range c.sources {
		things, err := from.list(ctx)
		if things == nil && err != nil {
			return err
		}
		if err != nil {
			// One damaged record keeps nothing from the others.
			c.publish(note{slog.LevelWarn, event.Event{
				Type:    event.DeliveryFailed,
				Message: fmt.Sprintf("sink %q starts without what can't be read: %v", c.Name, err),
			}})
		}
		if read[kind], err = c.compare(ctx, from, things); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.reset()
	for kind, s := range read {
		c.receipts[kind] = s.receipts
		c.count(kind, len(s.receipts))
		c.totals.resume(s.newest)
		for _, o := range s.open {
			e := c.entry(key{kind, o.name})
			e.delivered = o.has
			c.resume(e, o, old[e.key])
		}
	}
	for k, before := range old {
		if before.woken { // perhaps since it was listed
			e := c.entry(k)
			e.woken = true
			e.fallBehind(c.Wall())
			c.note(e)
			c.add(k)
		}
		if _, has := c.receipts[k.kind][k.name]; has && before.wish() != noWish {
			c.resume(c.entry(k), open{}, before)
		}
	}
	return nil
}

// standing is what a sink has of the things of one kind.
type standing struct {
	receipts map[string]receipt
	open     []open // ordered as they were listed
	newest   store.Delivery
}

// open is a thing that the sink lacks, or of which more must be kept than a
// receipt.
type open struct {
	thing
	has   store.Delivery
	lacks bool
}

// compare reads line after line of the ledger, so that the start of many sinks
// of many accounts holds in memory little more than what they lack.
func (c catchUp) compare(ctx context.Context, from source, things iter.Seq[thing]) (standing, error) {
	s := standing{receipts: map[string]receipt{}}
	for th := range things {
		has, err := c.Store.Delivery(ctx, c.Name, th.name)
		if err != nil {
			return s, err
		}
		if !th.over { // of which a new place was never told, and need not be
			has = c.here(has)
		}
		if has.Version > 0 && has.At.After(s.newest.At) {
			s.newest = has
		}
		lacks := from.lacks(th.edition, th.since, has)
		if r, ok := receiptOf(has); ok && !lacks {
			s.receipts[th.name] = r
			continue
		}
		s.open = append(s.open, open{th, has, lacks})
	}
	return s, nil
}

// resume puts an entry to where the ledger says that it was, and queues its key
// if the sink lacks what is newest. before is the entry in an earlier run of
// this worker, nil if there was none. The caller holds mu.
func (c catchUp) resume(e *entry, o open, before *entry) {
	if before != nil {
		e.asked, e.answered, e.forced, e.over = before.asked, before.answered, before.forced, before.over
	}
	if o.lacks {
		// It lacks the newest since that became durable, and has lacked those
		// before it for longer.
		e.since, e.atLeast = o.since, o.version > o.has.Version+1
		if o.has.Result != store.ResultDelivered {
			e.failures = o.has.Failures
		}
		if e.failures > 0 && o.has.TriedVersion == o.version {
			e.lastError = o.has.Error
			c.queue.Resume(e.key, e.failures)
		}
	}
	c.note(e)
	if o.lacks || e.wish() != noWish {
		c.add(e.key)
	}
}
