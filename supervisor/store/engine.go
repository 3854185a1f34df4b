package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// reader is one unchanging view of what is stored. What it returns must not be
// changed, and nobody does that: it stays as it is when the view has ended, and
// is never used for another value (heads.go relies on it).
type reader interface {
	// get returns nil if there is nothing under key.
	get(key string) []byte
	scan(prefix string, fn func(key string, value []byte))
}

// backend is where the bytes are.
type backend interface {
	// view calls fn with the newest state, at once and at most once.
	view(fn func(reader)) error
	// update makes c durable as a whole. After ErrDisk nothing has changed;
	// after any other error nobody knows what is stored.
	update(c change) error
	close() error
}

// engine is the store over any backend: the rules, the batching of writes, and
// that nobody reads what is not durable yet.
type engine struct {
	backend backend
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
	// sinks are those that the ledger knows: all of them if sinksRead, else
	// those that were noted since the store was opened.
	sinks     map[string]bool
	sinksRead bool
	held      map[string]Record

	heads heads

	// view guards what a reader must know before it looks.
	view sync.RWMutex
	// before holds the old values of what is being written: a backend may show
	// new ones before they are durable.
	before change
	// refusal is why nobody reads or writes any more: poisoned, or closed.
	refusal error
}

func newEngine(b backend, now func() time.Time, log *slog.Logger) *engine {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &engine{backend: b, now: now, log: log, pending: make(map[string]Delivery), held: make(map[string]Record), sinks: make(map[string]bool)}
}

// read calls fn with the newest durable state. It does not wait for a write.
func (e *engine) read(fn func(reader)) error {
	err := guard(func() error { return e.look(fn) })
	if errors.Is(err, errPanic) {
		e.view.Lock()
		defer e.view.Unlock()
		return e.poison(err)
	}
	return err
}

func (e *engine) look(fn func(reader)) error {
	e.view.RLock()
	locked := true
	defer func() {
		if locked {
			e.view.RUnlock()
		}
	}()
	if e.refusal != nil {
		return e.refusal
	}
	before := e.before
	return e.backend.view(func(r reader) {
		// The view has begun: a write from now on does not show in it.
		e.view.RUnlock()
		locked = false
		fn(durable{r, before})
	})
}

// durable shows the state before the write that is under way.
type durable struct {
	reader
	before change
}

func (d durable) get(key string) []byte {
	if v, ok := d.before[key]; ok {
		return v
	}
	return d.reader.get(key)
}

func (d durable) scan(prefix string, fn func(string, []byte)) {
	d.reader.scan(prefix, func(key string, value []byte) {
		if _, ok := d.before[key]; !ok {
			fn(key, value)
		}
	})
	for key, value := range d.before {
		if value != nil && strings.HasPrefix(key, prefix) {
			fn(key, value)
		}
	}
}

// Load implements [Store].
func (e *engine) Load(ctx context.Context, account string) (Record, error) {
	// What is held is looked at first: it leaves there only after its commit
	// shows in the backend.
	held, isHeld := e.heldRecord(account)
	r, err := e.stored(ctx, account)
	if isHeld && (err == nil && r.Version < held.Version || errors.Is(err, ErrNotFound)) {
		return held, nil
	}
	return r, err
}

func (e *engine) stored(ctx context.Context, account string) (Record, error) {
	b, err := e.one(ctx, recordKey(account))
	if err != nil {
		return Record{}, fmt.Errorf("reading the record of account %s: %w", account, err)
	}
	if b != nil {
		return open(account, b)
	}
	if b, err = e.one(ctx, refusalKey(account)); err != nil {
		return Record{}, fmt.Errorf("reading the refusal of account %s's key: %w", account, err)
	}
	refusal, _ := readRefusal(account, b)
	return Record{Account: account, Health: refusal}, fmt.Errorf("account %s: %w", account, ErrNotFound)
}

// List implements [Store]. Records that can't be read are left out, and the
// error names them: the others are returned beside it.
func (e *engine) List(ctx context.Context) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listing the records: %w", err)
	}
	held := e.allHeld()
	sealed, err := e.sealed()
	if err != nil {
		return nil, err
	}
	return openAll(sealed, held, open)
}

// Intent implements [Store].
func (e *engine) Intent(ctx context.Context, account string) (in Intent, ok bool, err error) {
	b, err := e.one(ctx, intentKey(account))
	if err != nil {
		return Intent{}, false, fmt.Errorf("reading the intent of account %s: %w", account, err)
	}
	return readIntent(account, b)
}

func (e *engine) one(ctx context.Context, key string) (value []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = e.read(func(r reader) { value = bytes.Clone(r.get(key)) })
	return value, err
}

// Intend implements [Store].
func (e *engine) Intend(ctx context.Context, in Intent) error {
	if err := checkIntent(in); err != nil {
		return err
	}
	e.date(&in.At)
	return e.write(ctx, in.Account, func(d draft) error { return d.intend(in) })
}

// Replace implements [Store].
func (e *engine) Replace(ctx context.Context, attempt string, in Intent) error {
	if err := checkIntent(in); err != nil {
		return err
	}
	e.date(&in.At)
	return e.write(ctx, in.Account, func(d draft) error { return d.replace(attempt, in) })
}

// Commit implements [Store].
func (e *engine) Commit(ctx context.Context, rec Record) error {
	if err := checkName("an account", rec.Account); err != nil {
		return err
	}
	e.date(&rec.StoredAt)
	rec.Held = false
	if err := e.write(ctx, rec.Account, func(d draft) error { return d.commit(rec) }); err != nil {
		return err
	}
	e.unhold(rec)
	return nil
}

// Abandon implements [Store].
func (e *engine) Abandon(ctx context.Context, account, attempt string, h Health) error {
	if err := checkName("an account", account); err != nil {
		return err
	}
	return e.write(ctx, account, func(d draft) error { return d.abandon(account, attempt, h) })
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
	e.view.Lock()
	if e.refusal == nil {
		e.refusal = ErrClosed
	}
	e.view.Unlock()
	if cerr := e.backend.close(); cerr != nil && err == nil {
		err = fmt.Errorf("closing the store: %w", cerr)
	}
	return err
}

// openAll opens the stored records, ordered by account; one that is held and
// newer takes the place of the account's.
func openAll[T interface{ head() Head }](sealed []sealedRecord, held map[string]T, open func(string, []byte) (T, error)) ([]T, error) {
	records := make([]T, 0, len(sealed)+len(held))
	var errs []error
	for _, s := range sealed {
		r, err := open(s.account, s.bytes)
		if err != nil {
			errs = append(errs, err)
			delete(held, s.account) // nobody knows which is newer
			continue
		}
		if h, ok := held[s.account]; !ok || h.head().Version <= r.head().Version {
			delete(held, s.account)
			records = append(records, r)
		}
	}
	records = slices.AppendSeq(records, maps.Values(held))
	slices.SortFunc(records, func(a, b T) int { return strings.Compare(a.head().Account, b.head().Account) })
	return records, joinSorted(errs)
}
