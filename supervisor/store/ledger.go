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
// a second it gets one of its own.
func (e *engine) MarkDelivered(ctx context.Context, d Delivery) error {
	e.date(&d.At)
	d.At = d.At.UTC().Round(0) // as it will be read back
	return e.note(ctx, Delivery{
		Sink: d.Sink, Account: d.Account, Version: d.Version, At: d.At, Latency: d.Latency,
		Result: ResultDelivered, TriedVersion: d.Version, TriedAt: d.At,
	})
}

// MarkTried implements [Store]. It is batched as MarkDelivered is.
func (e *engine) MarkTried(ctx context.Context, t Tried) error {
	if t.Result != ResultFailed && t.Result != ResultRefused {
		return fmt.Errorf("noting a try of sink %s: %q is no result of one that did not succeed", t.Sink, t.Result)
	}
	e.date(&t.At)
	return e.note(ctx, Delivery{
		Sink: t.Sink, Account: t.Account,
		Result: t.Result, TriedVersion: t.Version, TriedAt: t.At.UTC().Round(0), Error: t.Error, Failures: t.Failures,
	})
}

func (e *engine) note(ctx context.Context, d Delivery) error {
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
	key := ledgerKey(d.Sink, d.Account)
	if old, ok := e.pending[key]; ok {
		d = old.then(d)
	}
	e.pending[key] = d
	e.sinks[d.Sink] = true
	if e.flush == nil {
		e.flush = time.AfterFunc(flushAfter, e.flushLedger)
	}
	return nil
}

// then is the line d after a later note about the same sink and account, which
// knows only of what it was written for.
func (d Delivery) then(later Delivery) Delivery {
	if later.Version > 0 && later.Version >= d.Version {
		d.Version, d.At, d.Latency = later.Version, later.At, later.Latency
	}
	if later.TriedVersion >= d.TriedVersion {
		d.Result, d.TriedVersion, d.TriedAt = later.Result, later.TriedVersion, later.TriedAt
		d.Error, d.Failures = later.Error, later.Failures
	}
	return d
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
		if d.dropped[p.Account] {
			continue
		}
		if old, ok := readDelivery(d.get(key)); ok {
			p = old.then(p)
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
	var lines [][]byte // read when the view has ended: a write waits for that
	err := e.read(func(r reader) {
		r.scan(prefix, func(_ string, value []byte) { lines = append(lines, value) })
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of sink %s: %w", sink, err)
	}
	for _, line := range lines {
		d, ok := readDelivery(line)
		if !ok {
			continue // delivering once more mends it
		}
		if p, ok := ledger[d.Account]; ok {
			d = d.then(p)
		}
		ledger[d.Account] = d
	}
	return ledger, nil
}

// Delivery implements [Store].
func (e *engine) Delivery(ctx context.Context, sink, account string) (Delivery, error) {
	if err := errors.Join(checkName("a sink", sink), checkName("an account", account), ctx.Err()); err != nil {
		return Delivery{}, fmt.Errorf("reading the ledger: %w", err)
	}
	key := ledgerKey(sink, account)
	e.mu.Lock()
	pending, waits := e.pending[key] // looked at first, as in Deliveries
	e.mu.Unlock()
	b, err := e.one(ctx, key)
	if err != nil {
		return Delivery{}, fmt.Errorf("reading the ledger of sink %s: %w", sink, err)
	}
	d, ok := readDelivery(b)
	switch {
	case ok && waits:
		return d.then(pending), nil
	case waits:
		return pending, nil
	case ok:
		return d, nil
	}
	return Delivery{}, nil // delivering once more mends what can't be read
}

func readDelivery(b []byte) (d Delivery, ok bool) {
	ok = b != nil && json.Unmarshal(b, &d) == nil
	if ok && d.Result == "" { // format 2.0 knows of deliveries only
		d.Result, d.TriedVersion, d.TriedAt = ResultDelivered, d.Version, d.At
	}
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
