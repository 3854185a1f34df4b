package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// outcome is what came of one try.
type outcome struct {
	lane *lane
	// edition that the source has, and since when; zero if it could not be
	// read.
	edition  edition
	since    time.Time
	provider string
	// asked is up to which a person's wish was known when the try began.
	asked uint64

	// Exactly one of these, or err, says how it ended.
	unknown   bool // the source has nothing of that key
	idle      bool // the sink has the newest version, or has refused it, or that is dead
	early     bool // nothing newer, and its retry is not due
	delivered *store.Delivery

	err error
	// unmarked: delivered, but the ledger could not note it.
	unmarked error
}

// try makes one try to deliver what is newest on the lane. view is a copy of
// the lane, made when the try began.
func (w *Worker) try(ctx context.Context, l *lane, view lane) outcome {
	o := outcome{lane: l, asked: view.asked}
	ctx, cancel := context.WithTimeout(ctx, w.policy.Timeout)
	defer cancel()
	if !w.gates.enter(ctx, view.key) {
		o.err = errors.New("a delivery from before has not ended yet")
		return o
	}
	defer w.gates.leave(view.key)

	it, err := view.line.load(ctx, view.key)
	if errors.Is(err, store.ErrNotFound) {
		o.unknown = true
		return o
	}
	if err != nil {
		o.err = fmt.Errorf("can't read what is newest: %w", err)
		return o
	}
	o.edition, o.since, o.provider = it.edition, it.since, it.provider
	asked := view.asked != view.answered
	now := time.Now()
	switch {
	case it.dead, !view.line.lacks(it.edition, it.since, view.delivered) && !asked, view.refused && view.edition == o.edition && !asked:
		o.idle = true
		return o
	case view.edition == o.edition && now.Before(view.due), now.Before(view.notBefore):
		o.early = true
		return o
	}
	crashpoint.Here("sink: about to deliver")
	if o.err = safely(func() error { return it.deliver(ctx, view.delivered, view.wish()) }); o.err != nil {
		w.noteFailure(ctx, view, o)
		return o
	}
	crashpoint.Here("sink: delivered, not noted")

	// The ledger must learn of it even while the supervisor shuts down. A
	// clock that was set back must not make the delivery older than what was
	// delivered.
	d := store.Delivery{Sink: w.cfg.Name, Account: view.key, Version: it.version, At: w.cfg.Wall()}
	if d.At.Before(it.since) {
		d.At = it.since
	}
	d.Latency = d.At.Sub(it.since)
	o.delivered = &d
	o.unmarked = w.cfg.Store.MarkDelivered(context.WithoutCancel(ctx), d)
	crashpoint.Here("sink: noted in the ledger")
	return o
}

// noteFailure tells the ledger of a failure that is worth a warning: a sink
// that hangs for a week costs no commit for each try. That it can't be noted
// loses nothing but this knowledge, and the store itself tells of its trouble.
func (w *Worker) noteFailure(ctx context.Context, view lane, o outcome) {
	failures := 1
	if view.edition == o.edition {
		failures += view.failures
	}
	t := store.Tried{
		Sink: w.cfg.Name, Account: view.key, Version: o.edition.version, At: w.cfg.Wall(),
		Result: store.ResultFailed, Error: o.err.Error(), Failures: failures,
	}
	switch {
	case errors.Is(o.err, ErrAbsent):
		return
	case errors.Is(o.err, ErrRefused), errors.Is(o.err, ErrGone):
		t.Result = store.ResultRefused
	case !w.policy.loud(failures):
		return
	}
	_ = w.cfg.Store.MarkTried(context.WithoutCancel(ctx), t)
}

// deliveryID names the delivery of one edition to one sink, the same for every
// try and after a restart, so that receivers can tell a repeated delivery.
func deliveryID(sink, key string, version uint64, stored time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", sink, key, version, stored.UnixNano()))
	return "msg_" + hex.EncodeToString(sum[:16])
}
