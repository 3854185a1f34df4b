package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
)

// reads is what is read: what is durable, and what is known beside it.
type reads struct {
	state *state

	// mu guards the rest, and the queue of writes (writer.go).
	mu     sync.Mutex
	closed bool
	// pending is what the ledger is to say (ledger.go), and held what could not be
	// stored (held.go).
	pending map[string]Delivery
	held    map[string]Record
}

// look lets see look at the state, which stays as it is meanwhile.
func (k *reads) look(ctx context.Context, what string, see func(*state)) error {
	err := ctx.Err()
	if k.mu.Lock(); err == nil && k.closed {
		err = ErrClosed
	}
	k.mu.Unlock()
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	k.state.mu.RLock()
	defer k.state.mu.RUnlock()
	see(k.state)
	return nil
}

// of returns what is stored of an account.
func (k *reads) of(ctx context.Context, what, name string) (a account, err error) {
	err = k.look(ctx, what+" of account "+name, func(s *state) { a = s.of(name) })
	return a, err
}

// part returns a part of what is stored of an account, and whether it is there.
func part[T any](ctx context.Context, k *reads, what, name string, in func(account) *T) (v T, ok bool, err error) {
	a, err := k.of(ctx, what, name)
	if p := in(a); p != nil {
		return *p, true, err
	}
	return v, false, err
}

// Load implements [Store].
func (k *reads) Load(ctx context.Context, name string) (Record, error) {
	// What is held is looked at first: it leaves there only after its commit
	// shows in the state.
	held := k.heldRecord(name)
	a, err := k.of(ctx, "the record", name)
	switch {
	case err != nil:
		return Record{}, err
	case a.record.Version < held.Version:
		return held, nil
	case a.record.Version == 0:
		none := Record{Account: name}
		if a.refusal != nil {
			none.Health = *a.refusal
		}
		return none, fmt.Errorf("account %s: %w", name, ErrNotFound)
	}
	return a.record, nil
}

// Heads implements [Store].
func (k *reads) Heads(ctx context.Context) (all []Head, err error) {
	k.mu.Lock()
	held := maps.Clone(k.held) // looked at first, as in Load
	k.mu.Unlock()
	err = k.look(ctx, "the records", func(s *state) { all = s.headList(held) })
	return all, err
}

// Intent implements [Store].
func (k *reads) Intent(ctx context.Context, name string) (in Intent, ok bool, err error) {
	return part(ctx, k, "the intent", name, func(a account) *Intent { return a.intent })
}

// Login implements [Store].
func (k *reads) Login(ctx context.Context, name string) (l Login, ok bool, err error) {
	return part(ctx, k, "the open login", name, func(a account) *Login { return a.login })
}

// Logins implements [Store].
func (k *reads) Logins(ctx context.Context) (all []Login, err error) {
	err = k.look(ctx, "the open logins", func(s *state) {
		for _, a := range s.accounts {
			if a.login != nil {
				all = append(all, *a.login)
			}
		}
	})
	slices.SortFunc(all, func(a, b Login) int { return cmp.Compare(a.Account, b.Account) })
	return all, err
}

// Requests implements [Store].
func (k *reads) Requests(ctx context.Context, name string) ([]Request, error) {
	a, err := k.of(ctx, "the requests", name)
	return slices.Clone(a.requests), err
}

// Pause implements [Store].
func (k *reads) Pause(ctx context.Context, name string) (p Pause, ok bool, err error) {
	return part(ctx, k, "the pause", name, func(a account) *Pause { return a.pause })
}

// Alerts implements [Store].
func (k *reads) Alerts(ctx context.Context) (all []event.Alert, err error) {
	err = k.look(ctx, "the alerts", func(s *state) { all = slices.Collect(maps.Values(s.alerts)) })
	slices.SortFunc(all, func(a, b event.Alert) int { return cmp.Compare(a.Key, b.Key) })
	return all, err
}

// Passed implements [Store].
func (k *reads) Passed(ctx context.Context, name string) (at time.Time, err error) {
	err = k.look(ctx, "when the name of account "+name+" was free", func(s *state) { at = s.passed[name] })
	return at, err
}

// Owner returns what the store says of its machine; the zero Owner if it says
// nothing, as a new store does.
func (k *reads) Owner(ctx context.Context) (o machine.Owner, err error) {
	err = k.look(ctx, "whose store it is", func(s *state) { o = s.owner })
	return o, err
}
