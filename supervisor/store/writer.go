package store

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// maxBatch bounds what one transaction holds in memory.
const maxBatch = 1024

// write is one caller's change, on its way to the disk.
type write struct {
	// rule says what changes; nil: only what is pending of the ledger.
	rule func(c *change) error
	// subjects are the accounts, or the alert, that it changes: no two writes of one
	// transaction have one in common, so that each rule sees a state that is durable.
	subjects []string
	// drops: the ledger is to say nothing of them any more.
	drops bool
	err   error
	// turn tells a caller that waits: true, take the lead; false, err is the
	// outcome.
	turn chan bool
}

// writer makes changes durable, one transaction after the other.
type writer struct {
	reads
	backend backend
	log     *slog.Logger

	queue   []*write
	writing bool
	// broken is why nothing is written any more: a write panicked, and nobody knows
	// what is stored. Whoever leads sets it, with mu.
	broken error
	flush  *time.Timer
}

// do makes durable what the rule of w changes, and returns when it is. The error says
// what was not done; kind is what its subjects are.
//
// ctx counts only before the change is queued. From then on its outcome is
// waited for, because a caller that left would not know whether it happened.
func (q *writer) do(ctx context.Context, what, kind string, w *write) error {
	err := ctx.Err()
	for _, name := range w.subjects {
		err = cmp.Or(err, checkName(kind, name))
	}
	if err == nil {
		err = q.submit(w)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// write is do for a change of one account.
func (q *writer) write(ctx context.Context, name string, rule func(*change) error) error {
	return q.do(ctx, "storing account "+name, "an account", &write{subjects: []string{name}, rule: rule})
}

// submit makes w's change durable, and returns its outcome.
//
// Callers that come while a transaction is being written wait in a queue; the
// first of them then leads: it takes the queue into one transaction of
// its own goroutine. So a thousand accounts at once cost a few fsyncs, a lone
// caller waits for nobody, and there is no goroutine that idles.
func (q *writer) submit(w *write) error {
	q.mu.Lock()
	if q.closed && w.rule != nil {
		q.mu.Unlock()
		return ErrClosed
	}
	q.queue = append(q.queue, w)
	if q.writing {
		w.turn = make(chan bool, 1)
	}
	q.writing = true
	q.mu.Unlock()

	if w.turn == nil || <-w.turn {
		q.lead()
	}
	return w.err
}

// lead writes what is queued, the caller's own first, and hands over.
func (q *writer) lead() {
	q.mu.Lock()
	batch := q.take()
	delivered := q.deliverable()
	q.mu.Unlock()

	err := q.broken
	if err == nil {
		err = q.writeBatch(batch, delivered)
	}

	q.mu.Lock()
	if err == nil {
		q.settle(batch, delivered)
	}
	for _, w := range batch {
		// A refusal is the truth whatever happened to the others.
		w.err = cmp.Or(w.err, err)
	}
	q.writing = len(q.queue) > 0
	if q.writing {
		q.queue[0].turn <- true
	}
	q.mu.Unlock()

	for _, w := range batch[1:] {
		w.turn <- false
	}
}

// outOfUse is why nothing is written any more; nil: all is well.
func (q *writer) outOfUse() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.broken
}

// take takes the first writes from the queue, one for each subject. The caller holds
// q.mu.
func (q *writer) take() (batch []*write) {
	seen := make(map[string]bool)
	var later []*write
	for _, w := range q.queue {
		taken := slices.ContainsFunc(w.subjects, func(name string) bool { return seen[name] })
		for _, name := range w.subjects {
			seen[name] = true
		}
		// One without a rule, as Close's, is for all that came before it.
		if len(batch) == maxBatch || taken || w.rule == nil && len(later) > 0 {
			later = append(later, w)
			continue
		}
		batch = append(batch, w)
	}
	q.queue = later
	return batch
}

// forget takes out of lines what the ledger is to say nothing of any more.
func forget(lines map[string]Delivery, batch []*write) {
	for _, w := range batch {
		if w.drops && w.err == nil {
			maps.DeleteFunc(lines, func(_ string, d Delivery) bool { return slices.Contains(w.subjects, d.Account) })
		}
	}
}

// writeBatch makes the batch durable, with what was delivered. A write whose rule refuses
// is told so and does not touch the others. After a panic nothing is written any more, and
// nobody waits for it; the next start reads what is durable.
func (q *writer) writeBatch(batch []*write, delivered map[string]Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil { // the value may hold a token
			err = fmt.Errorf("%w: a write panicked (%T), and the store is out of use until the next start", ErrDisk, p)
			q.mu.Lock()
			q.broken = err
			q.mu.Unlock()
			q.log.Error("a write panicked; nothing is stored any more until the next start", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	q.state.writing.Lock()
	defer q.state.writing.Unlock()
	forget(delivered, batch)
	all := newChange()
	q.state.deliver(all, delivered)
	for _, w := range batch {
		if w.rule == nil {
			continue
		}
		c := newChange()
		if w.err = w.rule(c); w.err == nil {
			w.err = c.check()
		}
		if w.err == nil {
			maps.Copy(all.values, c.values)
		}
	}
	if len(all.values) == 0 {
		return nil
	}
	crashpoint.Here("store: about to write")
	err = q.backend.Update(all.values)
	crashpoint.Here("store: written")
	return err
}
