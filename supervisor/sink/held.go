package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// readBack asks a sink that is a [Holder] what it holds.
type readBack struct{ *setup }

// newest says what the sink holds of the record's account, and how that stands
// to the record.
func (b readBack) newest(ctx context.Context, rec store.Record) (readback.Held, readback.Finding, error) {
	wrote, err := b.Store.Delivery(ctx, b.Name, rec.Account)
	if err != nil {
		return readback.Held{}, readback.Silent, fmt.Errorf("read when it was written last: %w", err)
	}
	held, finding, err := b.look(ctx, rec, readback.Question{Wrote: b.here(wrote)})
	if errors.Is(err, sdk.ErrUnimplemented) {
		err = nil
	}
	return held, finding, err
}

// look is newest for whoever knows the ledger's line. q lacks only whose it is.
// [sdk.ErrUnimplemented]: the sink can't answer this.
func (b readBack) look(ctx context.Context, rec store.Record, q readback.Question) (held readback.Held, _ readback.Finding, err error) {
	q.Account, q.Provider = rec.Account, rec.Provider
	holder, can := b.Sink.(Holder)
	if !can {
		return held, readback.Silent, nil
	}
	err = safely(func() (err error) {
		held, err = holder.Holds(ctx, q)
		return err
	})
	switch {
	case held.Rest && errors.Is(err, format.ErrUnreadable):
	case errors.Is(err, sdk.ErrNothingStored), errors.Is(err, format.ErrUnreadable):
		return held, readback.Absent, nil
	case err != nil, held.Untouched, held.Told:
		return held, readback.Silent, err
	}
	held.Document.WrittenAt = held.At
	var ours lineage.Ours
	if b.ReadBack.Ours != nil {
		ours = b.ReadBack.Ours(rec.Account)
	}
	finding, owner := readback.Compare(ours, rec, q.Wrote, held, b.Wall())
	held.Owner = owner
	if held.Rest && !finding.Unknown() {
		finding = readback.Absent // what is left is of a token that is known, or of the past
	}
	return held, finding, nil
}

// mayWrite says why rec must not be written over what the sink holds, if it
// must not.
func (b readBack) mayWrite(ctx context.Context, rec store.Record, has store.Delivery, wanted wish) error {
	if !b.guards(rec) {
		return nil
	}
	held, finding, err := b.look(ctx, rec, readback.Question{Wrote: has})
	switch {
	case errors.Is(err, ErrAbsent):
		return err
	case wanted.over == sightOf(rec, held, err):
		return nil
	case err != nil && b.ReadBack.Unread:
		return b.unread(rec.Account, err)
	case err != nil:
		return nil // whatever is the matter there, the delivery itself meets it too
	case finding.Unknown():
		if finding == readback.Living {
			b.found(rec.Account)
		}
		return unknownToken{b.guarded(rec.Account, held, finding)}
	}
	if what := mended(finding, rec, has, held); what != "" && !b.reshaped(has) {
		b.publish(note{slog.LevelWarn, event.Event{
			Type: event.SinkMended, Account: rec.Account, Provider: rec.Provider, Version: rec.Version,
			Message: fmt.Sprintf("%s; version %d of account %s takes its place", what, rec.Version, rec.Account),
		}})
	}
	return nil
}

// isOurs says whether nothing stands there but what we have written, as far as that can be
// seen.
func (b readBack) isOurs(ctx context.Context, rec store.Record, has store.Delivery) bool {
	_, finding, err := b.look(ctx, rec, readback.Question{Wrote: has})
	return err == nil && !finding.Unknown()
}

// guards says whether what the sink holds is looked at before rec is written over it.
func (b readBack) guards(rec store.Record) bool {
	return b.ReadBack.BeforeWriting != nil && b.ReadBack.BeforeWriting(rec)
}

// sight is what a person who wants rec written over it can see there now. A
// destination that hangs is not waited for.
func (b readBack) sight(ctx context.Context, rec store.Record) (sight, error) {
	if !b.guards(rec) {
		return sightOf(rec, readback.Held{}, nil), nil
	}
	ctx, cancel := context.WithTimeout(ctx, sightPatience)
	defer cancel()
	seen := make(chan sight, 1)
	go func() {
		held, _, err := b.look(ctx, rec, readback.Question{})
		seen <- sightOf(rec, held, err)
	}()
	select {
	case s := <-seen:
		return s, nil
	case <-ctx.Done():
		return sight{}, fmt.Errorf("sink %q does not answer what it holds of account %q, so nothing is written over it; try again once it does", b.Name, rec.Account)
	}
}

// sightPatience is how long a person waits for what stands at a destination.
const sightPatience = 5 * time.Second

func sightOf(rec store.Record, held readback.Held, err error) sight {
	s := sight{edition{rec.Version, rec.StoredAt.UnixNano()}, "token " + held.Document.RefreshToken.Fingerprint()}
	switch {
	case err != nil:
		s.held = "unread"
	case held.Hidden, held.Rest:
		s.held = "hidden " + held.At.String()
	}
	return s
}

// unread says why nothing is written over what could not be read: a delivery opens
// everything anew, and would replace what nobody has seen if the look alone failed.
func (b readBack) unread(account string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w. It may hold the only copy of a login of account %s, so nothing is written over it before it can be read; %s", err, account, b.over(account))
}

// over is the way out for people who know better.
func (b readBack) over(account string) string {
	return fmt.Sprintf("to write over it, run: tokenkeeper sinks redeliver %s %s --force", b.Name, account)
}

func (b readBack) found(account string) {
	if b.ReadBack.Found != nil {
		b.ReadBack.Found(account)
	}
}

// mended says what is wrong with what a destination holds, which is about to be
// put right; "": nothing that is worth a word.
func mended(f readback.Finding, rec store.Record, has store.Delivery, held readback.Held) string {
	was := has.Version == rec.Version // it had been given the newest
	switch {
	case f == readback.Past && was:
		return "there is an older token of ours in " + place(held) + ", which would not work any more"
	case f == readback.Absent && held.Rest:
		return fmt.Sprintf("%s is cut off or damaged; what is left in it is kept in %s", place(held), atomicfile.Aside(place(held)))
	case f == readback.Absent && was:
		return "there is no whole token any more in " + place(held)
	case f == readback.Outlived:
		return "there was a refresh token in " + place(held) + " that is not known here; the broker has given us ours since it was put there " + heldSince(held)
	}
	return ""
}

func place(h readback.Held) string {
	if h.File != "" {
		return h.File
	}
	return "the destination"
}

func heldSince(h readback.Held) string {
	if h.At.IsZero() {
		return "(nobody knows when)"
	}
	return "(" + h.At.UTC().Format(time.RFC3339) + ")"
}

// guarded says for people what stands at the destination, why nothing is written
// over it, and the ways out.
func (b readBack) guarded(account string, h readback.Held, f readback.Finding) string {
	over := b.over(account)
	switch {
	case f == readback.Living:
		return fmt.Sprintf("%s holds a newer refresh token of account %s than ours, put there %s by another program; it is taken before ours is used, without anybody's help", place(h), account, heldSince(h))
	case h.Hidden:
		return fmt.Sprintf("%s was written %s by another program and can't be read by this user, so nobody knows whether it holds the only living refresh token of account %s; "+
			"and nothing is written over it; let this user read it, or %s", h.File, heldSince(h), account, over)
	}
	if h.Rest {
		return fmt.Sprintf("%s is cut off or damaged since another program wrote it %s, and may hold what is left of the only living refresh token of account %s, so nothing is written over it; "+
			"mend the file and run: tokenkeeper import %s %s --force; or log in anew, or %s, which keeps what is left in %s",
			place(h), heldSince(h), account, account, place(h), over, atomicfile.Aside(place(h)))
	}
	if h.Owner != "" {
		return fmt.Sprintf("%s is account %s's, and holds a refresh token of %s, put there %s, so nothing is written over it; put the right file there, or %s",
			place(h), account, h.Owner, heldSince(h), over)
	}
	take := ""
	if h.File != "" {
		take = fmt.Sprintf("to take it, run: tokenkeeper import %s %s --force; ", account, h.File)
	}
	return fmt.Sprintf("%s holds a refresh token of account %s that is not known here, put there %s, and may be the only copy of a login, so nothing is written over it; %s%s",
		place(h), account, heldSince(h), take, over)
}

// unknownToken: the destination holds a token that must not be written over.
type unknownToken struct{ why string }

func (e unknownToken) Error() string { return e.why }

func isUnknownToken(err error) bool {
	_, is := errors.AsType[unknownToken](err)
	return is
}
