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

	stored := false
	if err := q.safely(func() { stored = q.writeBatch(batch, delivered) }); err != nil {
		for _, w := range batch {
			w.err = err
		}
	}

	q.mu.Lock()
	if stored {
		q.settle(batch, delivered)
	}
	q.writing = len(q.queue) > 0
	if q.writing {
		q.queue[0].turn <- true
	} else {
		q.queue = nil
	}
	q.mu.Unlock()

	for _, w := range batch[1:] {
		w.turn <- false
	}
}

// safely calls fn. After a panic nothing is written any more, and nobody waits for it;
// the next start reads what is durable.
func (q *writer) safely(fn func()) (err error) {
	if q.broken != nil {
		return q.broken
	}
	defer func() {
		if p := recover(); p != nil { // the value may hold a token
			q.mu.Lock()
			q.broken = fmt.Errorf("%w: a write panicked (%T), and the store is out of use until the next start", ErrDisk, p)
			q.mu.Unlock()
			q.log.Error("a write panicked; nothing is stored any more until the next start", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = q.broken
		}
	}()
	fn()
	return nil
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

// writeBatch gives every write of the batch its outcome, and says whether what
// was delivered is stored. A rule that refuses does not touch the others.
func (q *writer) writeBatch(batch []*write, delivered map[string]Delivery) bool {
	for _, w := range batch {
		if w.drops {
			maps.DeleteFunc(delivered, func(_ string, d Delivery) bool { return slices.Contains(w.subjects, d.Account) })
		}
	}
	all := newChange()
	q.state.deliver(all, delivered)
	for _, w := range batch {
		if w.rule == nil {
			continue
		}
		c := newChange()
		if w.err = w.rule(c); w.err == nil {
			w.err = c.err
		}
		if w.err == nil {
			// What can't be read back would cost the whole file at the next start.
			w.err = newState().Apply(c.values)
		}
		if w.err == nil {
			maps.Copy(all.values, c.values)
		}
	}
	if len(all.values) == 0 {
		return true
	}
	crashpoint.Here("store: about to write")
	err := q.backend.Update(all.values)
	crashpoint.Here("store: written")
	for _, w := range batch {
		// A refusal is the truth whatever happened to the others.
		if w.err == nil {
			w.err = err
		}
	}
	return err == nil
}
