package refresh

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds how an open login ends that brings no token: by a person's word, or
// by itself.

// CancelLogin ends the login that is open, and returns what it was.
func (k *Keeper) CancelLogin(ctx context.Context, name string) (OpenLogin, error) {
	a, known := k.accounts[name]
	if !known {
		return OpenLogin{}, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	if err := a.awaitPoll(ctx); err != nil {
		return OpenLogin{}, err
	}
	l, was, err := a.cancelling()
	if err != nil {
		return OpenLogin{}, err
	}
	if err := k.cfg.Store.DropLogin(ctx, name, was.State); err != nil {
		a.goesOn(l)
		return OpenLogin{}, fmt.Errorf("account %s: the login goes on, because its end can't be made durable: %w", name, err)
	}
	crashpoint.Here("refresh: the begun login is dropped")
	a.closeLogin(was.State, errCancelled)
	k.mu.Lock()
	k.planIdle(a)
	k.mu.Unlock()
	k.signal()
	a.log().Info("the login was cancelled", "begun", was.At)
	return openLogin(was), nil
}

// cancelling keeps the code of the open login from being spent while its end is made
// durable: nobody is told that it is over while a code is on its way.
func (a *account) cancelling() (l *login, was store.Login, err error) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	switch l = a.openLogin(a.keeper.clock.Now().Wall); {
	case l == nil && a.state().Exchanges(), l != nil && l.stage == loginSpends:
		return nil, was, a.errLoginSpent()
	case l == nil:
		return nil, was, fmt.Errorf("account %s: %w; begin one with: tokenkeeper login %s", a.cfg.Name, ErrNoOpenLogin, a.cfg.Name)
	}
	l.stage = loginEnds
	return l, l.Login, nil
}

// takesCode says whether the code of the login may be announced, which can't be cancelled
// from then on.
func (a *account) takesCode(l *login) bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	open := a.wish.login
	if open == nil || open.State != l.State || open.stage != loginWaits {
		return false
	}
	open.stage = loginSpends
	return true
}

// goesOn says that the login waits for a code, as before.
func (a *account) goesOn(l *login) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if open := a.wish.login; open != nil && open.State == l.State {
		open.stage = loginWaits
	}
}

// closeLogin forgets the login of that state, whose end is durable. Why it has brought
// no token is told to those who wait for it; nil: it has.
func (a *account) closeLogin(state string, why error) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if l := a.wish.login; l != nil && l.State == state {
		a.wish.login, a.wish.ended = nil, l.outcome
		delete(a.keeper.begun, a.cfg.Name)
		l.outcome.err = why
		close(l.outcome.over)
	}
}

// giveUp lets the login of that state be over; see endLogins.
func (a *account) giveUp(state string) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if l := a.wish.login; l != nil && l.State == state {
		l.Until = time.Time{}
	}
}

// dropLogins does endLogins beside whoever looks: on a disk that hangs, everything
// else is looked at all the same.
func (k *Keeper) dropLogins() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.begun) == 0 || k.ending {
		return
	}
	k.ending = true
	go func() {
		k.endLogins(context.Background())
		k.mu.Lock()
		defer k.mu.Unlock()
		k.ending = false
	}()
}

// endLogins drops the logins that can't be completed any more. What the store does
// not take it is asked to take at the next look.
func (k *Keeper) endLogins(ctx context.Context) {
	k.mu.Lock()
	now := k.clock.Now()
	over := map[*login]error{}
	for name := range k.begun {
		if a := k.accounts[name]; a.openLogin(now.Wall) == nil && !a.ends(a.wish.login) {
			over[a.wish.login] = a.notInTime(now)
		}
	}
	k.mu.Unlock()
	for l, why := range over {
		if err := k.cfg.Store.DropLogin(ctx, l.Account, l.State); err != nil {
			k.cfg.Log.Warn("a login that is over can't be dropped from the store; it is tried again", "provider", k.cfg.Provider, "account", l.Account, "error", err)
			continue
		}
		k.accounts[l.Account].closeLogin(l.State, why)
		k.cfg.Log.Info("a login was not completed in time, and is over", "provider", k.cfg.Provider, "account", l.Account, "begun", l.At)
	}
}
