package refresh

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// ErrRetired: another Keeper has the accounts by now, or is about to.
var ErrRetired = errors.New("the configuration has just been read again; try once more")

// Open are the accounts of which only this Keeper, in its memory, knows what an attempt
// has brought, or whose shared file it keeps locked. It says so of a Keeper that does not
// run: the names are in order.
func (k *Keeper) Open() (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range k.order {
		locked := false
		a.ifIdle(func(a *leased) { locked = a.share.IsLocked() })
		if locked || unfinished(a.state()) {
			names = append(names, a.cfg.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Retire ends all work on the accounts for good, once Run has returned for the last time:
// when it returns, nobody is at work on any of them, or will be. Whoever waits for one, or
// comes later, is told [ErrRetired]. How they stand can still be seen.
func (k *Keeper) Retire() {
	k.retire.Do(func() { close(k.over) })
	for _, a := range k.order {
		a.retire()
	}
}

// retire takes the lease, and gives it to nobody any more. A word of a person that steers
// the account is stored then, or will not be.
func (a *account) retire() {
	defer pausable{a}.unsteered()
	for {
		a.keeper.mu.Lock()
		taken := a.try()
		idle := make(chan struct{})
		a.wish.idle = append(a.wish.idle, idle)
		a.keeper.mu.Unlock()
		if taken != nil {
			return
		}
		<-idle
	}
}

// unsteered returns when nobody steers the account.
func (a pausable) unsteered() {
	a.steering.Lock()
	defer a.steering.Unlock()
}

// Again returns one for the same accounts that goes on where one has ended that was retired.
func Again(ctx context.Context, was *Keeper) (*Keeper, error) {
	k, err := NewKeeper(ctx, was.cfg)
	if err != nil {
		return nil, err
	}
	k.TakeOver(was)
	return k, nil
}

// TakeOver goes on where one has ended that was retired: with the troubles that it has
// met, and with the pauses of those accounts whose configuration is the same.
func (k *Keeper) TakeOver(was *Keeper) {
	for _, f := range was.Facts() {
		k.Carry(f)
	}
	for name, a := range k.accounts {
		before, ok := was.accounts[name]
		if !ok || !reflect.DeepEqual(before.cfg.Account, a.cfg.Account) || !reflect.DeepEqual(before.cfg.OtherSecrets, a.cfg.OtherSecrets) {
			continue
		}
		was.mu.Lock()
		promised, newer := before.plan.promised, before.wish.newer
		was.mu.Unlock()
		k.mu.Lock()
		a.plan.promised, a.wish.newer = promised, newer
		planAnew(a)
		k.mu.Unlock()
	}
}

// retired is [ErrRetired] of an account, once that is so.
func (l *loop) retired(account string) error {
	select {
	case <-l.over:
		return fmt.Errorf("account %s: %w", account, ErrRetired)
	default:
		return nil
	}
}
