package refresh

import (
	"context"
	"errors"
	"fmt"
)

// lease is the right of one goroutine to act on an account, and what waits for its
// end. Whoever has it alone changes the account's state; others do so only under
// k.mu and while nobody has it.
type lease struct {
	taken bool
	// missed: the account came due meanwhile. unmet: the provider's policy became
	// known then, and was not applied to its record yet.
	missed, unmet bool
	// waiters wait for the outcome of a refresh; insisted: whatever the shared file
	// holds.
	waiters  []chan error
	insisted bool
	// idle wait for the lease.
	idle []chan struct{}
}

// claim waits until nobody is at work on the account and takes its lease.
func (k *Keeper) claim(ctx context.Context, a *account) (release func(), err error) {
	for {
		k.mu.Lock()
		if !a.lease.taken {
			a.lease.taken = true
			k.mu.Unlock()
			return func() { k.release(a) }, nil
		}
		idle := make(chan struct{})
		a.lease.idle = append(a.lease.idle, idle)
		k.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return nil, fmt.Errorf("account %s is being refreshed: %w", a.cfg.Name, ctx.Err())
		}
	}
}

// claimNamed is claim for an account by its name. One that is not here is
// [ErrUnknownAccount].
func (k *Keeper) claimNamed(ctx context.Context, name string) (*account, func(), error) {
	k.mu.Lock()
	a, ok := k.accounts[name]
	k.mu.Unlock()
	if !ok {
		return nil, nil, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	release, err := k.claim(ctx, a)
	return a, release, err
}

// landed ends an attempt and tells its outcome to those who asked for it; after
// errWentBack they wait for the next one.
func (k *Keeper) landed(a *account, outcome error) {
	k.mu.Lock()
	var waiters []chan error
	if !errors.Is(outcome, errWentBack) {
		waiters, a.lease.waiters, a.lease.insisted = a.lease.waiters, nil, false
	}
	k.mu.Unlock()
	for _, w := range waiters {
		w <- outcome
	}
	k.release(a)
	k.touchDown()
}

// release ends the work on an account. Whoever has asked for a refresh
// meanwhile gets one.
func (k *Keeper) release(a *account) {
	k.mu.Lock()
	a.lease.taken = false
	idle := a.lease.idle
	a.lease.idle = nil
	if a.lease.unmet {
		k.apply(a)
		a.lease.missed = true
	}
	if _, planned := k.heap.Due(a.cfg.Name); a.lease.missed && !planned {
		k.plan(a)
	}
	a.lease.missed = false
	switch now := k.clock.Now(); {
	case a.state.IsCut():
	case len(a.lease.waiters) > 0:
		k.dueAt(a, now.Wall, now)
	case a.file.look:
		k.lookSoon(a)
	}
	k.mu.Unlock()
	for _, c := range idle {
		close(c)
	}
	k.signal()
}
