package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ReadBack is when a sink that is a [Holder] is asked what it holds.
type ReadBack struct {
	// BeforeWriting says whether it is asked before rec is written over what it
	// holds; nil: never.
	BeforeWriting func(rec store.Record) bool
	// Regularly: also at each [Worker.Look], which costs a look at each file.
	Regularly bool
	// Ours is what is known of an account beside its record; nil: nothing.
	Ours func(account string) lineage.Ours
	// Found is told of an account of which the destination holds a token that
	// is to be used instead of ours. It must not block; nil: nobody is told.
	Found func(account string)
}

// Held asks the sink what it holds of the record's account, and says how that
// stands to the record. After an error nobody knows; a sink that can't be asked
// is silent.
func (w *Worker) Held(ctx context.Context, rec store.Record) (readback.Held, readback.Finding, error) {
	wrote, err := w.cfg.Store.Delivery(ctx, w.cfg.Name, rec.Account)
	if err != nil {
		return readback.Held{}, readback.Silent, fmt.Errorf("read when it was written last: %w", err)
	}
	return w.held(ctx, rec, wrote, time.Time{})
}

// held is Held for whoever knows the ledger's line. What can be seen to be as it
// was at since is not read.
func (w *Worker) held(ctx context.Context, rec store.Record, wrote store.Delivery, since time.Time) (held readback.Held, _ readback.Finding, err error) {
	holder, can := w.cfg.Sink.(Holder)
	if !can {
		return held, readback.Silent, nil
	}
	err = safely(func() (err error) {
		held, err = holder.Holds(ctx, readback.Question{Account: rec.Account, Provider: rec.Provider, Since: since})
		return err
	})
	switch {
	case errors.Is(err, sdk.ErrNothingStored), errors.Is(err, format.ErrUnreadable):
		return held, readback.Absent, nil
	case errors.Is(err, sdk.ErrUnimplemented):
		return held, readback.Silent, nil
	case err != nil, held.Untouched:
		return held, readback.Silent, err
	}
	held.Document.WrittenAt = held.At
	var ours lineage.Ours
	if w.cfg.ReadBack.Ours != nil {
		ours = w.cfg.ReadBack.Ours(rec.Account)
	}
	finding, owner := readback.Compare(ours, rec, wrote, held, w.cfg.Wall())
	held.Owner = owner
	return held, finding, nil
}

// mayWrite says why rec must not be written over what the sink holds, if it
// must not.
func (w *Worker) mayWrite(ctx context.Context, rec store.Record, has store.Delivery, wanted wish) error {
	if wanted == overAnything || w.cfg.ReadBack.BeforeWriting == nil || !w.cfg.ReadBack.BeforeWriting(rec) {
		return nil
	}
	held, finding, err := w.held(ctx, rec, has, time.Time{})
	switch {
	case errors.Is(err, ErrAbsent):
		return err
	case err != nil:
		return nil // whatever is the matter there, the delivery itself meets it too
	case finding.Unknown():
		if finding == readback.Living {
			w.found(rec.Account)
		}
		return unknownToken{w.Guarded(rec.Account, held, finding)}
	}
	if what := mended(finding, rec, has, held); what != "" {
		w.publish(note{slog.LevelWarn, event.Event{
			Type: event.SinkMended, Account: rec.Account, Provider: rec.Provider, Version: rec.Version,
			Message: fmt.Sprintf("%s; version %d of account %s takes its place", what, rec.Version, rec.Account),
		}})
	}
	return nil
}

func (w *Worker) found(account string) {
	if w.cfg.ReadBack.Found != nil {
		w.cfg.ReadBack.Found(account)
	}
}

// mended says what is wrong with what a destination holds, which is about to be
// put right; "": nothing that is worth a word.
func mended(f readback.Finding, rec store.Record, has store.Delivery, held readback.Held) string {
	was := has.Version == rec.Version // it had been given the newest
	switch {
	case f == readback.Past && was:
		return "there is an older token of ours in " + place(held) + ", which would not work any more"
	case f == readback.Absent && was:
		return "there is no whole token any more in " + place(held)
	case f == readback.Outlived:
		return "there was a refresh token in " + place(held) + " that is not known here; the broker has given us ours since it was put there " + since(held)
	}
	return ""
}

func place(h readback.Held) string {
	if h.File != "" {
		return h.File
	}
	return "the destination"
}

func since(h readback.Held) string {
	if h.At.IsZero() {
		return "(nobody knows when)"
	}
	return "(" + h.At.UTC().Format(time.RFC3339) + ")"
}

// Guarded says for people what stands at the destination, why nothing is written
// over it, and the ways out.
func (w *Worker) Guarded(account string, h readback.Held, f readback.Finding) string {
	over := fmt.Sprintf("to write over it, run: tokenkeeper sinks redeliver %s %s --force", w.cfg.Name, account)
	switch {
	case f == readback.Living:
		return fmt.Sprintf("%s holds a newer refresh token of account %s than ours, put there %s by another program; it is taken before ours is used, without anybody's help", place(h), account, since(h))
	case h.Hidden:
		return fmt.Sprintf("%s was written %s by another program and can't be read by this user, so nobody knows whether it holds the only living refresh token of account %s; "+
			"and nothing is written over it; let this user read it, or %s", h.File, since(h), account, over)
	}
	if h.Owner != "" {
		return fmt.Sprintf("%s is account %s's, and holds a refresh token of %s, put there %s, so nothing is written over it; put the right file there, or %s",
			place(h), account, h.Owner, since(h), over)
	}
	take := ""
	if h.File != "" {
		take = fmt.Sprintf("to take it, run: tokenkeeper import %s %s --force; ", account, h.File)
	}
	return fmt.Sprintf("%s holds a refresh token of account %s that is not known here, put there %s, and may be the only copy of a login, so nothing is written over it; %s%s",
		place(h), account, since(h), take, over)
}

// unknownToken: the destination holds a token that must not be written over.
type unknownToken struct{ why string }

func (e unknownToken) Error() string { return e.why }

func isUnknownToken(err error) bool {
	_, is := errors.AsType[unknownToken](err)
	return is
}
