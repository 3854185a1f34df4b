package store

import (
	"context"
	"fmt"
	"maps"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// maxBatch bounds what one transaction holds in memory.
const maxBatch = 1024

// write is one caller's change, on its way to the disk.
type write struct {
	// rule says what changes; nil: only what is pending of the ledger.
	rule func() (change, error)
	// subject is the account or the alert that it changes: no two writes of one
	// transaction have the same, so that each rule sees a state that is durable.
	subject string
	// drops: the ledger is to say nothing of the subject any more.
	drops bool
	err   error
	// turn tells a caller that waits: true, take the lead; false, err is the
	// outcome.
	turn chan bool
}

// write makes rule's change durable and returns when it is.
//
// Callers that come while a transaction is being written wait in a queue; the
// first of them then leads: it takes the queue into one transaction of
// its own goroutine. So a thousand accounts at once cost a few fsyncs, a lone
// caller waits for nobody, and there is no goroutine that idles.
//
// ctx counts only before the change is queued. From then on its outcome is
// waited for, because a caller that left would not know whether it happened.
func (e *engine) write(ctx context.Context, name string, rule func() (change, error)) error {
	if err := checkName("an account", name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nothing was stored of account %s: %w", name, err)
	}
	if err := e.submit(&write{rule: rule, subject: name}); err != nil {
		return fmt.Errorf("storing account %s: %w", name, err)
	}
	return nil
}

// submit queues w and returns its outcome.
func (e *engine) submit(w *write) error {
	e.mu.Lock()
	if e.closed && w.rule != nil {
		e.mu.Unlock()
		return ErrClosed
	}
	e.queue = append(e.queue, w)
	if e.writing {
		w.turn = make(chan bool, 1)
	}
	e.writing = true
	e.mu.Unlock()

	if w.turn != nil && !<-w.turn {
		return w.err
	}
	e.lead()
	return w.err
}

// lead writes what is queued, the caller's own first, and hands over.
func (e *engine) lead() {
	e.mu.Lock()
	batch := e.take()
	delivered := e.deliverable()
	e.mu.Unlock()

	stored := e.writeBatch(batch, delivered)

	e.mu.Lock()
	if stored {
		e.settle(batch, delivered)
	}
	e.writing = len(e.queue) > 0
	if e.writing {
		e.queue[0].turn <- true
	} else {
		e.queue = nil
	}
	e.mu.Unlock()

	for _, w := range batch[1:] {
		w.turn <- false
	}
}

// take takes the first writes from the queue, one for each subject. The caller holds
// e.mu.
func (e *engine) take() (batch []*write) {
	seen := make(map[string]bool)
	var later []*write
	for _, w := range e.queue {
		if len(batch) == maxBatch || seen[w.subject] {
			later = append(later, w)
			continue
		}
		seen[w.subject] = true
		batch = append(batch, w)
	}
	e.queue = later
	return batch
}

// writeBatch gives every write of the batch its outcome, and says whether what
// was delivered is stored. A rule that refuses does not touch the others.
func (e *engine) writeBatch(batch []*write, delivered map[string]Delivery) bool {
	for _, w := range batch {
		if w.drops {
			maps.DeleteFunc(delivered, func(_ string, d Delivery) bool { return d.Account == w.subject })
		}
	}
	all := e.state.deliver(delivered)
	for _, w := range batch {
		if w.rule == nil {
			continue
		}
		c, err := w.rule()
		if w.err = err; err == nil {
			maps.Copy(all, c)
		}
	}
	if len(all) == 0 {
		return true
	}
	crashpoint.Here("store: about to write")
	err := e.backend.update(all)
	crashpoint.Here("store: written")
	for _, w := range batch {
		// A refusal is the truth whatever happened to the others.
		if w.err == nil {
			w.err = err
		}
	}
	return err == nil
}
