package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// outcome is what came of one try.
type outcome struct {
	lane *lane
	// edition that the store has; zero if it could not be read.
	edition  edition
	provider string

	// Exactly one of these, or err, says how it ended.
	unknown   bool // the store has no such account
	idle      bool // the sink has the newest version, or has refused it
	early     bool // nothing newer, and its retry is not due
	delivered *store.Delivery

	err error
	// unmarked: delivered, but the ledger could not note it.
	unmarked error
}

// behind says whether the sink lacks rec. The times matter only after a backup
// was restored: the version numbers in it are used a second time.
func behind(has store.Delivery, rec store.Record) bool {
	return has.Version < rec.Version || rec.StoredAt.After(has.At)
}

// try makes one try to deliver the lane's newest record. view is a copy of the
// lane, made when the try began.
func (w *Worker) try(ctx context.Context, l *lane, view lane) outcome {
	o := outcome{lane: l}
	ctx, cancel := context.WithTimeout(ctx, w.policy.Timeout)
	defer cancel()

	rec, err := w.cfg.Store.Load(ctx, view.account)
	if errors.Is(err, store.ErrNotFound) {
		o.unknown = true
		return o
	}
	if err != nil {
		o.err = fmt.Errorf("can't read the record: %w", err)
		return o
	}
	o.edition, o.provider = editionOf(rec), rec.Provider
	now := time.Now()
	switch {
	case !behind(view.delivered, rec), view.refused && view.edition == o.edition:
		o.idle = true
		return o
	case view.edition == o.edition && now.Before(view.due), now.Before(view.notBefore):
		o.early = true
		return o
	}
	crashpoint.Here("sink: about to deliver")
	if o.err = w.deliver(ctx, rec); o.err != nil {
		return o
	}
	crashpoint.Here("sink: delivered, not noted")

	// The ledger must learn of it even while the supervisor shuts down. A
	// clock that was set back must not make the delivery older than what was
	// delivered.
	d := store.Delivery{Sink: w.cfg.Name, Account: view.account, Version: rec.Version, At: w.cfg.Wall()}
	if d.At.Before(rec.StoredAt) {
		d.At = rec.StoredAt
	}
	d.Latency = d.At.Sub(rec.StoredAt)
	o.delivered = &d
	o.unmarked = w.cfg.Store.MarkDelivered(context.WithoutCancel(ctx), d)
	crashpoint.Here("sink: noted in the ledger")
	return o
}

// deliver hands the record to the sink. A sink that panics has failed.
func (w *Worker) deliver(ctx context.Context, rec store.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return w.cfg.Sink.Deliver(ctx, w.delivery(rec))
}

func (w *Worker) delivery(rec store.Record) Delivery {
	return Delivery{ID: deliveryID(w.cfg.Name, rec), Version: rec.Version, Document: w.document(rec)}
}

// document is what the sink may see of the record.
func (w *Worker) document(rec store.Record) format.Document {
	d := rec.Document()
	if !w.cfg.IncludeRefreshToken {
		d.RefreshToken, d.IDToken = sdk.Secret{}, sdk.Secret{}
		return d
	}
	if w.cfg.Credentials != nil {
		d.ClientID, d.ClientSecret = w.cfg.Credentials(rec.Account)
	}
	return d
}

// deliveryID names the delivery of one edition to one sink, the same for every
// try and after a restart, so that receivers can tell a repeated delivery.
func deliveryID(sink string, rec store.Record) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", sink, rec.Account, rec.Version, rec.StoredAt.UnixNano()))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// panicked tells where the sink panicked, and not with what: the value could
// hold a token.
func panicked(p any) error {
	at := "an unknown place"
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for seen := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			seen = true
		case seen && f.Function != "runtime.panicmem" && f.Function != "runtime.sigpanic":
			at = fmt.Sprintf("%s:%d", f.Function, f.Line)
			more = false
		}
		if !more {
			break
		}
	}
	return fmt.Errorf("the sink's code panicked (%T) in %s; please report it", p, at)
}
