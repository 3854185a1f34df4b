package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
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

// tell says to an account's state what has happened, and returns what is to be
// done now.
func (k *Keeper) tell(a *leased, e acct.Event) acct.Action {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.step(a, e)
}

// step is tell for a caller that holds k.mu.
func (k *Keeper) step(a *leased, e acct.Event) acct.Action {
	before := a.troubles()
	action, err := a.lease.Happened(e, k.clock.Now().Wall)
	if err != nil {
		k.cfg.Log.Error("a defect of Tokenkeeper, which does nothing about this account now: please report it",
			"provider", k.cfg.Provider, "account", a.cfg.Name, "error", err)
		return acct.Wait
	}
	if a.troubles() != before {
		k.changes(a.account)
	}
	return action
}

// troubles is what of an account's state may begin or end an alert.
type troubles struct {
	failures              int
	needsLogin, ambiguous bool
	waits                 bool
	loginAt               time.Time
}

// changes notes that an alert may begin or end with the account. The caller holds
// k.mu.
func (k *Keeper) changes(a *account) {
	k.changed[a.cfg.Name] = true
	k.cfg.Events.Nudge()
}

// Changed are the accounts with which an alert may have begun or ended since the
// last call.
func (k *Keeper) Changed() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := k.changed
	k.changed = map[string]bool{}
	return names
}

func (a *account) troubles() troubles {
	s := a.state()
	rec := s.Record()
	return troubles{rec.Health.Failures, rec.NeedsLogin(), s.Ambiguous() != nil, rec.Candidate != nil, rec.LoginAt}
}

// terms are what the time of a replay depends on. The caller holds k.mu.
func (k *Keeper) terms(a *account) acct.Terms {
	return acct.Terms{Grace: k.grace(), Timeout: a.cfg.Timeout}
}

// grace is how long the server accepts a refresh token that it has replaced, less
// a tenth for what the clocks and the way may differ. The caller holds k.mu.
func (k *Keeper) grace() time.Duration { return k.policy.ReuseGrace - k.policy.ReuseGrace/10 }

// unfinished says whether an attempt was answered, or failed, and the store has
// not taken that. The caller holds k.mu, or has the lease.
func (a *account) unfinished() bool {
	_, ok := a.state().Unfinished()
	return ok
}

// unexpected is the failure of an attempt that is not to be made as the account
// stands.
func (k *Keeper) unexpected(a *leased) error {
	k.mu.Lock()
	k.retry(a.account, schedule.Failure{InRow: 3})
	k.mu.Unlock()
	return fmt.Errorf("account %s: its attempt is not made, because it does not stand announced: this is a defect of Tokenkeeper; please report it", a.cfg.Name)
}
