package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
)

// backend makes changes durable.
type backend interface {
	// durable is the state that is durable, always one and the same.
	durable() *state
	// update makes c durable as a whole and applies it to the state. After an error,
	// which is ErrDisk, nothing has changed. It is called by one writer at a time.
	update(c change) error
	close() error
}

// engine is the store over any backend: the batching of writes, and what is known
// beside what is durable.
type engine struct {
	backend backend
	state   *state
	now     func() time.Time
	log     *slog.Logger

	// mu guards the queue of writes (writer.go), the ledger (ledger.go) and
	// what is held (held.go).
	mu      sync.Mutex
	queue   []*write
	writing bool
	closed  bool
	pending map[string]Delivery
	flush   *time.Timer
	held    map[string]Record
}

func newEngine(b backend, now func() time.Time, log *slog.Logger) *engine {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &engine{backend: b, state: b.durable(), now: now, log: log, pending: make(map[string]Delivery), held: make(map[string]Record)}
}

// readable says why nothing is read any more.
func (e *engine) readable(ctx context.Context, what string) error {
	err := ctx.Err()
	if e.mu.Lock(); err == nil && e.closed {
		err = ErrClosed
	}
	e.mu.Unlock()
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// of returns what is stored of an account.
func (e *engine) of(ctx context.Context, what, name string) (account, error) {
	if err := e.readable(ctx, what+" of account "+name); err != nil {
		return account{}, err
	}
	return e.state.view(name), nil
}

// Load implements [Store].
func (e *engine) Load(ctx context.Context, name string) (Record, error) {
	// What is held is looked at first: it leaves there only after its commit
	// shows in the state.
	held, isHeld := e.heldRecord(name)
	a, err := e.of(ctx, "the record", name)
	switch {
	case err != nil:
		return Record{}, err
	case isHeld && a.record.Version < held.Version:
		return held, nil
	case a.record.Version == 0:
		return Record{Account: name, Health: a.refusal}, fmt.Errorf("account %s: %w", name, ErrNotFound)
	}
	return a.record, nil
}

// List implements [Store].
func (e *engine) List(ctx context.Context) ([]Record, error) {
	held := e.allHeld()
	if err := e.readable(ctx, "the records"); err != nil {
		return nil, err
	}
	all := e.state.records()
	if len(held) == 0 {
		return all, nil
	}
	for n, r := range all {
		if h, ok := held[r.Account]; ok {
			if h.Version > r.Version {
				all[n] = h
			}
			delete(held, r.Account)
		}
	}
	for _, h := range held {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Account, b.Account) })
	return all, nil
}

// Heads implements [Store].
func (e *engine) Heads(ctx context.Context) ([]Head, error) {
	held := e.allHeld() // looked at first, as in Load
	if err := e.readable(ctx, "the records"); err != nil {
		return nil, err
	}
	return e.state.headList(held), nil
}

// Intent implements [Store].
func (e *engine) Intent(ctx context.Context, name string) (in Intent, ok bool, err error) {
	a, err := e.of(ctx, "the intent", name)
	if err != nil || a.intent == nil {
		return Intent{}, false, err
	}
	return *a.intent, true, nil
}

// Login implements [Store].
func (e *engine) Login(ctx context.Context, name string) (l Login, ok bool, err error) {
	a, err := e.of(ctx, "the open login", name)
	if err != nil || a.login == nil {
		return Login{}, false, err
	}
	return *a.login, true, nil
}

// Logins implements [Store].
func (e *engine) Logins(ctx context.Context) (all []Login, err error) {
	if err := e.readable(ctx, "the open logins"); err != nil {
		return nil, err
	}
	e.state.mu.RLock()
	defer e.state.mu.RUnlock()
	for _, a := range e.state.accounts {
		if a.login != nil {
			all = append(all, *a.login)
		}
	}
	slices.SortFunc(all, func(a, b Login) int { return cmp.Compare(a.Account, b.Account) })
	return all, nil
}

// Requests implements [Store].
func (e *engine) Requests(ctx context.Context, name string) ([]Request, error) {
	a, err := e.of(ctx, "the requests", name)
	return slices.Clone(a.requests), err
}

// Alerts implements [Store].
func (e *engine) Alerts(ctx context.Context) (all []event.Alert, err error) {
	if err := e.readable(ctx, "the alerts"); err != nil {
		return nil, err
	}
	e.state.mu.RLock()
	defer e.state.mu.RUnlock()
	for _, a := range e.state.alerts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b event.Alert) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// Owner returns what the store says of its machine; the zero Owner if it says
// nothing, as a new store does.
func (e *engine) Owner(ctx context.Context) (machine.Owner, error) {
	if err := e.readable(ctx, "whose store it is"); err != nil {
		return machine.Owner{}, err
	}
	e.state.mu.RLock()
	defer e.state.mu.RUnlock()
	return e.state.owner, nil
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
func (e *engine) Abandon(ctx context.Context, name, attempt string, h Health) error {
	return e.write(ctx, name, func() (change, error) { return e.state.abandon(name, attempt, h) })
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
func (e *engine) PutBeside(ctx context.Context, name, attempt string, c *Candidate) error {
	return e.write(ctx, name, func() (change, error) { return e.state.putBeside(name, attempt, c) })
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
		return c, c.putJSON(accountKey(name, partRequests), datedRequests(all))
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
	if cerr := e.backend.close(); cerr != nil && err == nil {
		err = fmt.Errorf("closing the store: %w", cerr)
	}
	return err
}

// joinSorted joins errors in an order that does not change from call to call.
func joinSorted(errs []error) error {
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
