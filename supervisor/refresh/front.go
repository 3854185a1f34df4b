package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// ErrNoProcess: the provider's process does not run just now.
var ErrNoProcess = errors.New("the provider's process does not run now")

// front is the Keeper as the logins see it: a [login.Cycle].
type front struct{ *Keeper }

// openLogins takes up the logins that were begun in an earlier run.
func (k *Keeper) openLogins(ctx context.Context) (err error) {
	cfg := login.Config{Provider: k.cfg.Provider, Accounts: map[string]login.Account{}, Store: k.cfg.Store, Log: k.cfg.Log, Clock: k.clock}
	for name, a := range k.accounts {
		cfg.Accounts[name] = login.Account{Account: a.cfg.Account, Presented: presented{a}.now, Timeout: a.cfg.Timeout, GrantedTo: GrantedTo(a.cfg.Account)}
	}
	if k.open, err = login.NewOpen(ctx, cfg); err != nil {
		return err
	}
	k.Front = login.NewFront(k.open, front{k})
	return nil
}

// startPatience is how long a person waits for a process that starts: one that has said
// who it is settles what stands in its spool before it serves.
const startPatience = 5 * time.Second

// forLogin returns the account and its provider, whose generation does not end
// before countOut.
func (k *Keeper) forLogin(ctx context.Context, name string) (*account, *sdk.Remote, error) {
	a, ok := k.accounts[name]
	if !ok {
		return nil, nil, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	patience, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	remote := k.awaitProcess(patience, a.cfg.Timeout)
	if remote == nil {
		if err := k.retired(name); err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("account %s: %w; see: tokenkeeper status", name, ErrNoProcess)
	}
	return a, remote, nil
}

// Serving implements [login.Cycle].
func (k front) Serving(ctx context.Context, name string) (*sdk.Remote, func(), error) {
	_, remote, err := k.forLogin(ctx, name)
	return remote, k.countOut, err
}

// MayBegin implements [login.Cycle].
func (k front) MayBegin(name string) error {
	a := k.accounts[name]
	if err := a.share.Replaceable(); err != nil {
		return fmt.Errorf("account %s: the token of a login would not reach the programs that share it; nothing was begun: %w", name, err)
	}
	if err := a.steered(time.Now()); err != nil {
		return fmt.Errorf("account %s: nothing was begun: %w", name, err)
	}
	if err := (limited{a}).mayLogIn(""); err != nil {
		return fmt.Errorf("nothing was begun: %w", err)
	}
	return nil
}

// Loginless implements [login.Cycle].
func (k front) Loginless(name string) error { return k.accounts[name].say.errLoginless() }

// State implements [login.Cycle].
func (k front) State(name string) acct.State { return k.accounts[name].state() }

// Plan implements [login.Cycle].
func (k front) Plan(name string) {
	k.mu.Lock()
	planAnew(k.accounts[name])
	k.mu.Unlock()
	k.signal()
}

// Unpolled implements [login.Cycle].
func (k front) Unpolled(name, poll string) (time.Duration, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return limited{k.accounts[name]}.unpolled(poll)
}

// BeginPoll implements [login.Cycle].
func (k front) BeginPoll(name string) (f login.Flight, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, remote := k.accounts[name], k.remote
	if remote == nil || k.polling >= k.cfg.MaxInFlight {
		return login.Flight{}, false
	}
	k.polling++
	k.awaits(a.cfg.Timeout)
	return login.Flight{
		Ask: func(ctx context.Context, state string) error {
			_, err := a.completeWith(ctx, remote, state, sdk.Secret{})
			return err
		},
		Done: func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.polling--
			k.oneEnded()
		},
	}, true
}

// loginWait is an account that may be put off because a login of it is open.
type loginWait struct{ *account }

// until is until when the account announces nothing because of its open login;
// zero: it is not held. The caller holds k.mu.
func (a loginWait) until(now time.Time) time.Time {
	if l := a.keeper.open.At(a.cfg.Name, now); l != nil {
		return a.outlook().at(now).turn().HeldBy(l.Until())
	}
	return time.Time{}
}

// behind puts off what is due at due as long as the account is held by its open
// login. The caller holds k.mu.
func (a loginWait) behind(due, now time.Time) time.Time {
	until := a.until(now)
	if !due.Before(until) {
		return due
	}
	a.plan.behind = due
	if l := a.keeper.open.Last(a.cfg.Name); l != nil {
		a.plan.pauseFor(promise.LoginOpen, l.Waiting())
	}
	return until
}

// waits says whether the account would have had its turn by now without its
// open login. The caller holds k.mu.
func (a loginWait) waits(now time.Time) bool {
	return a.plan.pause == promise.LoginOpen && !now.Before(a.plan.behind) && !a.until(now).IsZero()
}

// err is told to who asks for a refresh meanwhile. The caller holds k.mu.
func (a loginWait) err() error {
	if l := a.keeper.open.Last(a.cfg.Name); l != nil {
		return l.HoldsBack()
	}
	return fmt.Errorf("account %s: %w, or was until just now; try again", a.cfg.Name, login.ErrOpen)
}
