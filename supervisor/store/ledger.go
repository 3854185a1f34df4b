package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// flushAfter is how long a delivery may wait for a transaction to ride on.
const flushAfter = time.Second

// MarkDelivered implements [Store]. The delivery is noted in memory, seen by
// Deliveries at once, and rides on the next transaction; if none comes within
// a second it gets one of its own. A version below the noted one changes
// nothing.
func (e *engine) MarkDelivered(ctx context.Context, d Delivery) error {
	if err := errors.Join(checkName("a sink", d.Sink), checkName("an account", d.Account), ctx.Err()); err != nil {
		return fmt.Errorf("noting a delivery: %w", err)
	}
	if err := e.usable(); err != nil {
		return fmt.Errorf("noting the delivery of account %s to sink %s: %w", d.Account, d.Sink, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("noting the delivery of account %s to sink %s: %w", d.Account, d.Sink, ErrClosed)
	}
	e.date(&d.At)
	d.At = d.At.UTC().Round(0) // as it will be read back
	key := ledgerKey(d.Sink, d.Account)
	if old, ok := e.pending[key]; ok && old.Version > d.Version {
		return nil
	}
	e.pending[key] = d
	if e.flush == nil {
		e.flush = time.AfterFunc(flushAfter, e.flushLedger)
	}
	return nil
}

// flushLedger writes what is still pending.
func (e *engine) flushLedger() {
	e.mu.Lock()
	idle := e.closed || len(e.pending) == 0
	e.flush = nil
	e.mu.Unlock()
	if idle {
		return
	}
	if err := e.submit(&write{}); err != nil && !errors.Is(err, ErrClosed) {
		e.log.Warn("the delivery ledger was not stored; what it held is delivered once more after a restart", "error", err)
	}
}

// deliver drafts what is pending.
func (d draft) deliver(pending map[string]Delivery) {
	for key, p := range pending {
		if old, ok := readDelivery(d.get(key)); ok && old.Version > p.Version {
			continue
		}
		if b, err := json.Marshal(p); err == nil {
			d.put(key, b)
		}
	}
}

// settle forgets what was written. The caller holds e.mu.
func (e *engine) settle(written map[string]Delivery) {
	for key, d := range written {
		if e.pending[key] == d {
			delete(e.pending, key)
		}
	}
	if len(e.pending) == 0 && e.flush != nil && e.flush.Stop() {
		e.flush = nil
	}
}

// Deliveries implements [Store].
func (e *engine) Deliveries(ctx context.Context, sink string) (map[string]Delivery, error) {
	if err := errors.Join(checkName("a sink", sink), ctx.Err()); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	ledger := make(map[string]Delivery)
	// What is pending is looked at first: it leaves there only after it shows
	// in the backend.
	prefix := ledgerPrefix(sink)
	e.mu.Lock()
	for key, d := range e.pending {
		if strings.HasPrefix(key, prefix) {
			ledger[d.Account] = d
		}
	}
	e.mu.Unlock()
	err := e.read(func(r reader) {
		r.scan(prefix, func(key string, value []byte) {
			d, ok := readDelivery(value)
			if !ok {
				return // delivering once more mends it
			}
			if p, ok := ledger[d.Account]; !ok || p.Version < d.Version {
				ledger[d.Account] = d
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of sink %s: %w", sink, err)
	}
	return ledger, nil
}

func readDelivery(b []byte) (d Delivery, ok bool) {
	ok = b != nil && json.Unmarshal(b, &d) == nil
	return d, ok
}

func (e *engine) usable() error {
	e.view.RLock()
	defer e.view.RUnlock()
	return e.refusal
}

// joinSorted joins errors in an order that does not change from call to call.
func joinSorted(errs []error) error {
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
