package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// maxBatch bounds what one transaction holds in memory.
const maxBatch = 1024

// write is one caller's change, on its way to the disk.
type write struct {
	// rule drafts the change; nil: only what is pending of the ledger.
	rule func(draft) error
	err  error
	// turn tells a caller that waits: true, take the lead; false, err is the
	// outcome.
	turn chan bool
}

// write makes rule's change durable and returns when it is.
//
// Callers that come while a transaction is being written wait in a queue; the
// first of them then leads: it takes the whole queue into one transaction of
// its own goroutine. So a thousand accounts at once cost a few fsyncs, a lone
// caller waits for nobody, and there is no goroutine that idles.
//
// ctx counts only before the change is queued. From then on its outcome is
// waited for, because a caller that left would not know whether it happened.
func (e *engine) write(ctx context.Context, account string, rule func(draft) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nothing was stored of account %s: %w", account, err)
	}
	w := &write{rule: rule}
	if err := e.submit(w); err != nil {
		return fmt.Errorf("storing account %s: %w", account, err)
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
	n := min(len(e.queue), maxBatch)
	batch := e.queue[:n:n]
	e.queue = e.queue[n:]
	delivered := e.deliverable()
	e.mu.Unlock()

	stored := e.writeBatch(batch, delivered)

	e.mu.Lock()
	if stored {
		e.settle(delivered)
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

// writeBatch gives every write of the batch its outcome, and says whether what
// was delivered is stored. A rule that refuses does not touch the others.
func (e *engine) writeBatch(batch []*write, delivered map[string]Delivery) bool {
	changed, before, err := e.draft(batch, delivered)
	if err == nil && len(changed) > 0 {
		e.view.Lock()
		e.before = before
		e.view.Unlock()

		crashpoint.Here("store: about to write")
		err = guard(func() error { return e.backend.update(changed) })
		crashpoint.Here("store: written")

		e.view.Lock()
		e.before = nil
		if err != nil && !errors.Is(err, ErrDisk) {
			err = e.poison(err)
		}
		e.view.Unlock()
	}
	if err == nil {
		return true
	}
	for _, w := range batch {
		// A refusal is the truth whatever happened to the others.
		if w.err == nil {
			w.err = err
		}
	}
	return false
}

// draft runs the rules one after the other over the newest state.
func (e *engine) draft(batch []*write, delivered map[string]Delivery) (changed, before change, err error) {
	changed, before = make(change), make(change)
	err = e.read(func(r reader) {
		d := draft{reader: r, changed: changed, dropped: make(map[string]bool)}
		for _, w := range batch {
			if w.rule != nil {
				w.err = w.rule(d)
			}
		}
		d.deliver(delivered)
		for key := range changed {
			before[key] = bytes.Clone(r.get(key))
		}
	})
	return changed, before, err
}

// poison makes every later call fail. The caller holds e.view.
func (e *engine) poison(cause error) error {
	if e.refusal == nil {
		e.refusal = fmt.Errorf("%w (%w)", ErrPoisoned, cause)
		e.log.Error("the store failed to write and is out of use until it is reopened", "error", cause)
	}
	return e.refusal
}

// errPanic is what guard makes of a panic.
var errPanic = errors.New("panic")

// guard turns a panic of fn into an error; also one that a damaged or vanished
// file causes below the memory map.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return fn()
}

// sortedKeys is the order in which changes are written, so that the same
// changes make the same file.
func sortedKeys(c change) []string { return slices.Sorted(maps.Keys(c)) }
