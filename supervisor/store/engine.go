package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// backend makes changes durable.
type backend interface {
	// Update makes c durable as a whole and applies it to the state. After an error,
	// which is ErrDisk, nothing has changed. It is called by one writer at a time.
	Update(c map[string][]byte) error
	Close() error
}

// engine is the store over any backend: each call that changes something has its rule in
// the state.
type engine struct {
	writer
	now func() time.Time
}

func newEngine(s *state, b backend, now func() time.Time, log *slog.Logger) *engine {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &engine{now: now, writer: writer{backend: b, log: log, reads: reads{
		state: s, pending: make(map[string]Delivery), held: make(map[string]Record),
	}}}
}

// Intend implements [Store].
func (e *engine) Intend(ctx context.Context, in Intent) error {
	if err := checkIntent(in); err != nil {
		return err
	}
	e.date(&in.At)
	return e.write(ctx, in.Account, func() (change, error) { return e.state.intend(in) })
}

// Replace implements [Store].
func (e *engine) Replace(ctx context.Context, attempt string, in Intent) error {
	if err := checkIntent(in); err != nil {
		return err
	}
	e.date(&in.At)
	return e.write(ctx, in.Account, func() (change, error) { return e.state.replace(attempt, in) })
}

// Commit implements [Store].
func (e *engine) Commit(ctx context.Context, rec Record) error {
	if err := checkName("an account", rec.Account); err != nil {
		return err
	}
	e.date(&rec.StoredAt)
	if err := e.write(ctx, rec.Account, func() (change, error) { return e.state.commit(rec) }); err != nil {
		return err
	}
	e.unhold(rec)
	return nil
}

// Abandon implements [Store].
func (e *engine) Abandon(ctx context.Context, name, attempt string, version uint64, h Health) error {
	return e.write(ctx, name, func() (change, error) { return e.state.abandon(name, attempt, version, h) })
}

// SetAside implements [Store].
func (e *engine) SetAside(ctx context.Context, name string, ev Evidence) error {
	if ev.Attempt == "" {
		return fmt.Errorf("evidence of account %s names no attempt", name)
	}
	e.date(&ev.At)
	ev.Until = ev.At.Add(EvidenceLife)
	return e.write(ctx, name, func() (change, error) { return e.state.setAside(name, ev) })
}

// PutBeside implements [Store].
func (e *engine) PutBeside(ctx context.Context, name, attempt string, version uint64, c *Candidate) error {
	return e.write(ctx, name, func() (change, error) { return e.state.putBeside(name, attempt, version, c) })
}

// PutLogin implements [Store].
func (e *engine) PutLogin(ctx context.Context, l Login) error {
	if l.State == "" {
		return fmt.Errorf("a login of account %s has no state: its answer could not be told from another's", l.Account)
	}
	return e.write(ctx, l.Account, func() (change, error) { return e.state.putLogin(l) })
}

// DropLogin implements [Store].
func (e *engine) DropLogin(ctx context.Context, name, state string) error {
	return e.write(ctx, name, func() (change, error) {
		c := change{}
		e.state.of(name).dropLogin(c, name, state)
		return c, nil
	})
}

// PutRequests implements [Store].
func (e *engine) PutRequests(ctx context.Context, name string, all []Request) error {
	return e.write(ctx, name, func() (change, error) {
		c := change{}
		return c, c.putJSON(accountKey(name, partRequests), record.DatedRequests(all))
	})
}

// PutPause implements [Store].
func (e *engine) PutPause(ctx context.Context, name string, p *Pause) error {
	return e.write(ctx, name, func() (change, error) {
		c := change{accountKey(name, partPause): nil}
		if p == nil {
			return c, nil
		}
		return c, c.putJSON(accountKey(name, partPause), p.Dated())
	})
}

// SaveAlert implements [Store].
func (e *engine) SaveAlert(ctx context.Context, a event.Alert) error {
	err := errors.Join(checkName("an alert", a.Key), ctx.Err())
	if err == nil {
		err = e.submit(&write{subject: a.Key, rule: func() (change, error) {
			c := change{}
			return c, c.putJSON(alertKey(a.Key), a)
		}})
	}
	if err != nil {
		return fmt.Errorf("storing alert %s: %w", a.Key, err)
	}
	return nil
}

// DropAlert implements [Store]. What MarkDelivered and MarkTried note while it
// is under way may stay in the ledger.
func (e *engine) DropAlert(ctx context.Context, key string) error {
	err := errors.Join(checkName("an alert", key), ctx.Err())
	if err == nil {
		err = e.submit(&write{subject: key, drops: true, rule: func() (change, error) { return e.state.dropAlert(key) }})
	}
	if err != nil {
		return fmt.Errorf("dropping alert %s: %w", key, err)
	}
	return nil
}

// SaveOwner stores whose store it is.
func (e *engine) SaveOwner(ctx context.Context, o machine.Owner) error {
	b, err := json.Marshal(o)
	if err = errors.Join(err, ctx.Err()); err == nil {
		err = e.submit(&write{rule: func() (change, error) { return change{keyMachine: b}, nil }})
	}
	if err != nil {
		return fmt.Errorf("storing whose store it is: %w", err)
	}
	return nil
}

// date fills in a moment that the caller left out.
func (e *engine) date(at *time.Time) {
	if at.IsZero() {
		*at = e.now()
	}
}

// Close implements [Store]. It waits for the writes under way and flushes the
// ledger. Closing twice is fine.
func (e *engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	if e.flush != nil {
		e.flush.Stop()
	}
	e.mu.Unlock()

	// Writes are first come, first served: after this one there is none.
	err := e.submit(&write{})
	if cerr := e.backend.Close(); cerr != nil && err == nil {
		err = fmt.Errorf("closing the store: %w", cerr)
	}
	return err
}
