package refresh

import (
	"context"
	"errors"
	"fmt"
)

// claim waits until nobody is at work on the account and takes its lease, which is
// given back by release.
func (k *Keeper) claim(ctx context.Context, a *account) (*leased, error) {
	for {
		k.mu.Lock()
		if l := a.try(); l != nil {
			k.mu.Unlock()
			return l, nil
		}
		idle := make(chan struct{})
		a.wish.idle = append(a.wish.idle, idle)
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
func (k *Keeper) claimNamed(ctx context.Context, name string) (*leased, error) {
	a, ok := k.accounts[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	return k.claim(ctx, a)
}

// ifIdle does something with an account that nobody is at work on, and says whether
// that was so. The caller holds k.mu.
func (a *account) ifIdle(do func(*leased)) bool {
	l := a.try()
	if l == nil {
		return false
	}
	defer l.lease.End()
	do(l)
	return true
}

// landed ends an attempt and tells its outcome to those who asked for it; after
// errWentBack they wait for the next one.
func (k *Keeper) landed(a *leased, outcome error) {
	k.mu.Lock()
	var waiters []chan error
	if !errors.Is(outcome, errWentBack) {
		waiters = a.wish.answered()
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
func (k *Keeper) release(a *leased) {
	k.mu.Lock()
	idle := a.wish.idle
	a.wish.idle = nil
	if a.wish.unmet {
		k.apply(a)
		a.wish.missed = true
	}
	if _, planned := k.heap.Due(a.cfg.Name); a.wish.missed && !planned {
		k.plan(a)
	}
	a.wish.missed = false
	switch now := k.clock.Now(); {
	case a.state().IsCut():
	case a.wish.asked():
		k.dueAt(a.account, now.Wall, now)
	case a.file.look:
		k.lookSoon(a.account)
	}
	a.lease.End()
	k.mu.Unlock()
	for _, c := range idle {
		close(c)
	}
	k.signal()
}
