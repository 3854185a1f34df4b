package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flushAfter is how long a delivery may wait for a transaction to ride on.
const flushAfter = time.Second

// MarkDelivered implements [Store]. The delivery is noted in memory, seen by
// Delivery at once, and rides on the next transaction; if none comes within
// a second it gets one of its own.
func (e *engine) MarkDelivered(ctx context.Context, d Delivery) error {
	e.date(&d.At)
	d.At = d.At.UTC().Round(0) // as it will be read back
	return e.note(ctx, Delivery{
		Sink: d.Sink, Account: d.Account, Version: d.Version, At: d.At, Latency: d.Latency, Expiry: d.Expiry.UTC().Round(0), Consumer: d.Consumer, Shape: d.Shape,
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
	err := errors.Join(checkName("a sink", d.Sink), checkName("an account", d.Account), ctx.Err())
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && e.closed {
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("noting the delivery of account %s to sink %s: %w", d.Account, d.Sink, err)
	}
	key := ledgerKey(d.Sink, d.Account)
	e.pending[key] = e.pending[key].Then(d)
	if e.flush == nil {
		e.flush = time.AfterFunc(flushAfter, e.flushLedger)
	}
	return nil
}

// noted says whether something of an account is to be written into the ledger.
func (k *reads) noted(account string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.pending {
		if d.Account == account {
			return true
		}
	}
	return false
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
		// Of the disk people know from who keeps the file.
		e.log.Debug("the delivery ledger was not stored; what it held is delivered once more after a restart", "error", err)
	}
}

// settle forgets what was written. The caller holds q.mu.
func (q *writer) settle(batch []*write, written map[string]Delivery) {
	for key, d := range written {
		if q.pending[key] == d {
			delete(q.pending, key)
		}
	}
	forget(q.pending, batch)
	if len(q.pending) == 0 && q.flush != nil && q.flush.Stop() {
		q.flush = nil
	}
}

// Delivery implements [Store].
func (k *reads) Delivery(ctx context.Context, sink, name string) (d Delivery, err error) {
	if err := errors.Join(checkName("a sink", sink), checkName("an account", name)); err != nil {
		return d, err
	}
	// What is pending is looked at first: it leaves there only after it shows in the
	// state.
	k.mu.Lock()
	waiting, waits := k.pending[ledgerKey(sink, name)]
	k.mu.Unlock()
	err = k.look(ctx, "the ledger of sink "+sink, func(s *state) { d = s.ledger[sink][name] })
	if err == nil && waits {
		d = d.Then(waiting)
	}
	return d, err
}
