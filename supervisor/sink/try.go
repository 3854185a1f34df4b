package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// outcome is what came of one try.
type outcome struct {
	// edition that the source has, and since when; zero if it could not be
	// read.
	edition  edition
	since    time.Time
	provider string
	// asked is up to which a person's wish was known when the try began.
	asked uint64

	// Exactly one of these, or err, says how it ended.
	unknown   bool // the source has nothing of that key
	dead      bool // the sink lacks the newest version, which nobody can use
	idle      bool // the sink has the newest version, or has refused it
	early     bool // nothing newer, and its retry is not due
	delivered *store.Delivery

	err error
	// unmarked: delivered, but the ledger could not note it.
	unmarked error
}

// try makes one try to deliver what is newest of a key. seen is what was known
// of it when the try began.
func (d *setup) try(ctx context.Context, from source, seen entry) outcome {
	o := outcome{asked: seen.asked}
	run := ctx
	ctx, cancel := context.WithTimeout(run, d.Policy.Timeout)
	defer cancel()
	var it item
	err := protect("store", func() (err error) {
		it, err = from.load(ctx, seen.name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		o.unknown = true
		return o
	}
	if err != nil {
		o.err = fmt.Errorf("can't read what is newest: %w", err)
		return o
	}
	o.edition, o.since, o.provider = it.edition, it.since, it.provider
	to := d.recipient(run, seen.key)
	lacks := from.lacks(it.edition, it.since, seen.delivered) || another(to, seen.delivered)
	wished := seen.wish() != noWish
	now := time.Now()
	switch {
	case it.dead && lacks:
		o.dead = true
		return o
	case it.dead, !lacks && !wished, seen.refused && seen.edition == o.edition && !wished:
		o.idle = true
		return o
	case seen.edition == o.edition && now.Before(seen.due), now.Before(seen.notBefore):
		o.early = true
		return o
	}
	crashpoint.Here("sink: about to deliver")
	if o.err = safely(func() error { return it.deliver(ctx, seen.delivered, seen.wish()) }); o.err != nil {
		if run.Err() == nil { // else it was cut off, which is no failure of the sink's
			d.noteFailure(ctx, seen, o)
		}
		return o
	}
	crashpoint.Here("sink: delivered, not noted")
	o.delivered, o.unmarked = d.noteDelivery(ctx, seen.name, it, cmp.Or(to, d.address))
	crashpoint.Here("sink: noted in the ledger")
	return o
}

// noteDelivery notes in the ledger that the sink, to which this is there, has it, which must succeed even
// while the supervisor shuts down. A clock that was set back must not make the
// delivery older than what was delivered.
func (d *setup) noteDelivery(ctx context.Context, name string, it item, to string) (*store.Delivery, error) {
	done := store.Delivery{Sink: d.Name, Account: name, Version: it.version, At: d.Wall(), Expiry: it.expiry, Consumer: to, Shape: d.shape}
	if done.At.Before(it.since) {
		done.At = it.since
	}
	done.Latency = done.At.Sub(it.since)
	return &done, d.Store.MarkDelivered(context.WithoutCancel(ctx), done)
}

// noteFailure notes in the ledger a failure that is worth a warning: a sink
// that hangs for a week costs no commit for each try. An absence is none, and
// ends those before it. That it can't be noted loses nothing but this knowledge,
// and the store itself tells of its trouble.
func (d *setup) noteFailure(ctx context.Context, seen entry, o outcome) {
	t := store.Tried{
		Sink: d.Name, Account: seen.name, Version: o.edition.version, At: d.Wall(),
		Result: store.ResultFailed, Error: o.err.Error(), Failures: seen.failures + 1,
	}
	switch {
	case errors.Is(o.err, ErrAbsent):
		if seen.failures == 0 {
			return
		}
		t.Failures = 0
	case errors.Is(o.err, ErrRefused), errors.Is(o.err, ErrGone):
		t.Result = store.ResultRefused
	case !d.Policy.loud(t.Failures):
		return
	}
	_ = d.Store.MarkTried(context.WithoutCancel(ctx), t)
}
