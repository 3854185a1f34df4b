package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

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

// readable says why nothing is read any more.
func (k *reads) readable(ctx context.Context, what string) error {
	err := ctx.Err()
	if k.mu.Lock(); err == nil && k.closed {
		err = ErrClosed
	}
	k.mu.Unlock()
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// of returns what is stored of an account.
func (k *reads) of(ctx context.Context, what, name string) (account, error) {
	if err := k.readable(ctx, what+" of account "+name); err != nil {
		return account{}, err
	}
	return k.state.view(name), nil
}

// Load implements [Store].
func (k *reads) Load(ctx context.Context, name string) (Record, error) {
	// What is held is looked at first: it leaves there only after its commit
	// shows in the state.
	held, isHeld := k.heldRecord(name)
	a, err := k.of(ctx, "the record", name)
	switch {
	case err != nil:
		return Record{}, err
	case isHeld && a.record.Version < held.Version:
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
func (k *reads) Heads(ctx context.Context) ([]Head, error) {
	held := k.allHeld() // looked at first, as in Load
	if err := k.readable(ctx, "the records"); err != nil {
		return nil, err
	}
	return k.state.headList(held), nil
}

// Intent implements [Store].
func (k *reads) Intent(ctx context.Context, name string) (in Intent, ok bool, err error) {
	a, err := k.of(ctx, "the intent", name)
	if err != nil || a.intent == nil {
		return Intent{}, false, err
	}
	return *a.intent, true, nil
}

// Login implements [Store].
func (k *reads) Login(ctx context.Context, name string) (l Login, ok bool, err error) {
	a, err := k.of(ctx, "the open login", name)
	if err != nil || a.login == nil {
		return Login{}, false, err
	}
	return *a.login, true, nil
}

// Logins implements [Store].
func (k *reads) Logins(ctx context.Context) (all []Login, err error) {
	if err := k.readable(ctx, "the open logins"); err != nil {
		return nil, err
	}
	k.state.mu.RLock()
	defer k.state.mu.RUnlock()
	for _, a := range k.state.accounts {
		if a.login != nil {
			all = append(all, *a.login)
		}
	}
	slices.SortFunc(all, func(a, b Login) int { return cmp.Compare(a.Account, b.Account) })
	return all, nil
}

// Requests implements [Store].
func (k *reads) Requests(ctx context.Context, name string) ([]Request, error) {
	a, err := k.of(ctx, "the requests", name)
	return slices.Clone(a.requests), err
}

// Pause implements [Store].
func (k *reads) Pause(ctx context.Context, name string) (p Pause, ok bool, err error) {
	a, err := k.of(ctx, "the pause", name)
	if err != nil || a.pause == nil {
		return Pause{}, false, err
	}
	return *a.pause, true, nil
}

// Alerts implements [Store].
func (k *reads) Alerts(ctx context.Context) (all []event.Alert, err error) {
	if err := k.readable(ctx, "the alerts"); err != nil {
		return nil, err
	}
	k.state.mu.RLock()
	defer k.state.mu.RUnlock()
	for _, a := range k.state.alerts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b event.Alert) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// Owner returns what the store says of its machine; the zero Owner if it says
// nothing, as a new store does.
func (k *reads) Owner(ctx context.Context) (machine.Owner, error) {
	if err := k.readable(ctx, "whose store it is"); err != nil {
		return machine.Owner{}, err
	}
	k.state.mu.RLock()
	defer k.state.mu.RUnlock()
	return k.state.owner, nil
}
