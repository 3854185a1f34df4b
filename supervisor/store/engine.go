package store

import (
	"context"
	"errors"
	"fmt"
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

func newEngine(s *state, b backend, o Options) *engine {
	o = o.WithDefaults()
	return &engine{now: o.Now, writer: writer{backend: b, log: o.Log, reads: reads{
		state: s, pending: make(map[string]Delivery), held: make(map[string]Record),
	}}}
}

// Intend implements [Store].
func (e *engine) Intend(ctx context.Context, in Intent) error {
	return e.announce(ctx, in, e.state.intend)
}

// Replace implements [Store].
func (e *engine) Replace(ctx context.Context, attempt string, in Intent) error {
	return e.announce(ctx, in, func(c *change, in Intent) error { return e.state.replace(c, attempt, in) })
}

// announce stores an intent by one of the two rules. One without an attempt could not be
// found again.
func (e *engine) announce(ctx context.Context, in Intent, rule func(*change, Intent) error) error {
	if in.Attempt == "" {
		return fmt.Errorf("an intent of account %s has no attempt id: it could not be told from another", in.Account)
	}
	e.date(&in.At)
	return e.write(ctx, in.Account, func(c *change) error { return rule(c, in) })
}

// Commit implements [Store].
func (e *engine) Commit(ctx context.Context, rec Record) error {
	e.date(&rec.StoredAt)
	if err := e.write(ctx, rec.Account, func(c *change) error { return e.state.commit(c, rec) }); err != nil {
		return err
	}
	e.unhold(rec)
	return nil
}

// Abandon implements [Store].
func (e *engine) Abandon(ctx context.Context, name, attempt string, at Basis, h Health) error {
	return e.write(ctx, name, func(c *change) error { return e.state.abandon(c, name, attempt, at, h) })
}

// SetAside implements [Store].
func (e *engine) SetAside(ctx context.Context, name string, ev Evidence) error {
	if ev.Attempt == "" {
		return fmt.Errorf("evidence of account %s names no attempt", name)
	}
	e.date(&ev.At)
	ev.Until = ev.At.Add(EvidenceLife)
	return e.write(ctx, name, func(c *change) error { return e.state.setAside(c, name, ev) })
}

// PutBeside implements [Store].
func (e *engine) PutBeside(ctx context.Context, name, attempt string, at Basis, next *Candidate) error {
	return e.write(ctx, name, func(c *change) error { return e.state.putBeside(c, name, attempt, at, next) })
}

// PutLogin implements [Store].
func (e *engine) PutLogin(ctx context.Context, l Login) error {
	if l.State == "" {
		return fmt.Errorf("a login of account %s has no state: its answer could not be told from another's", l.Account)
	}
	return e.write(ctx, l.Account, func(c *change) error { return e.state.putLogin(c, l) })
}

// DropLogin implements [Store].
func (e *engine) DropLogin(ctx context.Context, name, state string) error {
	return e.write(ctx, name, func(c *change) error {
		e.state.of(name).dropLogin(c, name, state)
		return nil
	})
}

// PutRequests implements [Store].
func (e *engine) PutRequests(ctx context.Context, name string, all []Request) error {
	return e.write(ctx, name, func(c *change) error {
		c.put(accountKey(name, partRequests), record.DatedRequests(all))
		return nil
	})
}

// PutPause implements [Store].
func (e *engine) PutPause(ctx context.Context, name string, was, p *Pause) error {
	return e.write(ctx, name, func(c *change) error { return e.state.putPause(c, name, was, p) })
}

// SaveAlert implements [Store].
func (e *engine) SaveAlert(ctx context.Context, a event.Alert) error {
	return e.do(ctx, "storing alert "+a.Key, "an alert", &write{subjects: []string{a.Key}, rule: func(c *change) error {
		c.put(alertKey(a.Key), a)
		return nil
	}})
}

// DropAlert implements [Store]. What MarkDelivered and MarkTried note while it
// is under way may stay in the ledger.
func (e *engine) DropAlert(ctx context.Context, key string, version uint64) error {
	return e.do(ctx, "dropping alert "+key, "an alert", &write{subjects: []string{key}, drops: true, rule: func(c *change) error {
		return e.state.dropAlert(c, key, version)
	}})
}

// SaveOwner stores whose store it is.
func (e *engine) SaveOwner(ctx context.Context, o machine.Owner) error {
	return e.do(ctx, "storing whose store it is", "", &write{rule: func(c *change) error {
		c.put(keyMachine, o)
		return nil
	}})
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
	again := e.closed
	e.closed = true
	if e.flush != nil {
		e.flush.Stop()
	}
	e.mu.Unlock()
	if again {
		return nil
	}
	// Writes are first come, first served: after this one there is none.
	return errors.Join(e.submit(&write{}), e.backend.Close())
}
