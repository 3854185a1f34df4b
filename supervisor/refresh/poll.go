package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds how a login is polled, and waited for. Each poll is an attempt of
// its own, announced and spooled: the one that finds the person done gets the token.

// slowerBy is by how much a broker that says slow_down is asked more seldom (RFC 8628,
// section 3.5).
const slowerBy = 5 * time.Second

// polling is how an open login is polled. It is under k.mu.
type polling struct {
	at       time.Duration // when next, on the monotonic clock; 0: not planned
	failures int           // in a row, in which the broker could not be asked
	under    chan struct{} // closed when the poll ends that is made; nil: none is
	lost     time.Time     // when a poll began whose answer was lost; zero: none was
}

// outcome is how a login ends. Err is set before over is closed.
type outcome struct {
	id   string
	over chan struct{}
	err  error
}

// lookAtPolls wakes who polls.
func (k *Keeper) lookAtPolls() {
	select {
	case k.polls <- struct{}{}:
	default:
	}
}

// pollLogins polls the open logins of a generation until ctx ends.
func (k *Keeper) pollLogins(ctx context.Context) {
	for {
		timer := time.NewTimer(k.startPolls(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.polls:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// startPolls starts the polls that are due, and returns how long there is none.
func (k *Keeper) startPolls(ctx context.Context) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, wait := k.clock.Now(), idleSleep
	for name := range k.begun {
		a := k.accounts[name]
		l := a.openLogin(now.Wall)
		if k.remote == nil || l == nil || !isPolled(l.Guided.Shape) || l.stage != loginWaits || l.polls.under != nil || l.unsettled {
			continue
		}
		if l.polls.at == 0 {
			l.polls.at = now.Mono + l.Guided.PollEvery
		}
		if left := l.polls.at - now.Mono; left > 0 {
			wait = min(wait, left)
			continue
		}
		if h := a.loginHeld(l.polled(), now); h.Wait > 0 {
			wait = min(wait, h.Wait)
			continue
		}
		if k.polling >= k.cfg.MaxInFlight { // one that ends wakes who polls
			continue
		}
		k.polling++
		k.awaits(a.cfg.Timeout)
		l.polls.under = make(chan struct{})
		go a.poll(ctx, k.remote, l)
	}
	return wait
}

// unpolled says why, and until when, the broker may not be asked whether the person is
// done with an open login; nil: it may, or is not asked. The caller holds k.mu.
func (a *account) unpolled(l *login, now schedule.Instant) error {
	if h := a.loginHeld(l.polled(), now); l.polled() != "" && h.Wait > 0 {
		return a.errHeld(h, now)
	}
	return nil
}

// notInTime is why the account's login is over by itself. The caller holds k.mu.
func (a *account) notInTime(now schedule.Instant) error {
	if err := a.unpolled(a.wish.login, now); err != nil {
		return fmt.Errorf("%w; whether it was approved could not be asked: %w", errNotInTime, err)
	}
	return errNotInTime
}

// poll asks once whether the person is done, and plans the next time.
func (a *account) poll(ctx context.Context, remote *sdk.Remote, l *login) {
	k := a.keeper
	_, err := a.completeWith(ctx, remote, l.State, sdk.Secret{})
	a.paceBy(ctx, l, err)
	k.mu.Lock()
	defer k.mu.Unlock()
	close(l.polls.under)
	l.polls.under = nil
	l.polls.at = k.clock.Now().Mono + l.polls.next(l.Login, err)
	k.polling--
	k.ended()
	k.lookAtPolls()
}

// paceBy takes over the pace that a broker wants from now on, and makes it durable.
func (a *account) paceBy(ctx context.Context, l *login, pending error) {
	k := a.keeper
	k.mu.Lock()
	every := paceOf(l.Login, pending)
	changed := a.wish.login == l && every != l.Guided.PollEvery
	l.Guided.PollEvery = every
	noted := l.Login
	k.mu.Unlock()
	if !changed {
		return
	}
	if err := k.cfg.Store.PutLogin(context.WithoutCancel(ctx), noted); err != nil {
		a.log().Warn("the broker wants to be asked less often whether a login is done, which could not be stored; a restart forgets it", "every", every, "error", err)
	}
}

// paceOf is how often a broker that has answered that wants to be asked.
func paceOf(l store.Login, pending error) time.Duration {
	var e *sdk.Error
	if !errors.As(pending, &e) || e.Kind != sdk.KindPending {
		return l.Guided.PollEvery
	}
	every := l.Guided.PollEvery
	if e.OAuthError == "slow_down" {
		every += slowerBy
	}
	return max(every, e.RetryAfter)
}

// next is how long after a poll with that outcome the next one comes. Who can't be
// asked is left alone longer each time, as RFC 8628 wants it.
func (p *polling) next(l store.Login, err error) time.Duration {
	var e *sdk.Error
	if !errors.As(err, &e) {
		e = &sdk.Error{}
	}
	every := l.Guided.PollEvery
	if e.Kind == sdk.KindPending {
		p.failures = 0
		return every
	}
	wait := every
	for range p.failures {
		if wait *= 2; wait >= pollMost {
			break
		}
	}
	p.failures++
	return max(min(wait, max(pollMost, every)), e.RetryAfter)
}

// awaitPoll returns when no poll of the account's login is under way.
func (a *account) awaitPoll(ctx context.Context) error {
	a.keeper.mu.Lock()
	var under chan struct{}
	if l := a.wish.login; l != nil {
		under = l.polls.under
	}
	a.keeper.mu.Unlock()
	if under == nil {
		return nil
	}
	select {
	case <-under:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("account %s: the broker is being asked just now whether the login is done; try again: %w", a.cfg.Name, ctx.Err())
	}
}

// ends says whether an attempt to end the login stands open, which needs it. The
// caller holds k.mu.
func (a *account) ends(l *login) bool {
	return l.IsGuided() && (l.unsettled || a.state().Ends() == l.State)
}

// loginSettled says that no attempt of an earlier run to end the open login is left
// that was not settled, unless its answer waits for another build of the provider.
func (a *leased) loginSettled() {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if l := a.wish.login; l != nil && a.desk().unreadable == "" {
		l.unsettled = false
	}
}

// AwaitLogin returns when the login of that id is over: with the account's record, or
// with the reason why it has brought none. A login that ended before it was waited for
// counts, if no other has ended since.
func (k *Keeper) AwaitLogin(ctx context.Context, name, id string) (store.Record, error) {
	k.mu.Lock()
	a, ok := k.accounts[name]
	if !ok {
		k.mu.Unlock()
		return store.Record{}, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	o := a.wish.ended
	if l := a.wish.login; l != nil && l.outcome.id == id {
		o = l.outcome
	}
	k.mu.Unlock()
	if o == nil || o.id != id {
		return store.Record{}, fmt.Errorf("account %s: %w: it has ended; see what has come of it with: tokenkeeper status", name, ErrNoOpenLogin)
	}
	select {
	case <-o.over:
	case <-ctx.Done():
		return store.Record{}, fmt.Errorf("account %s: %w, and goes on", name, ErrLoginOpen)
	}
	switch {
	case o.err == nil:
		return a.rec(), nil
	case errors.Is(o.err, errCancelled), errors.Is(o.err, errNotInTime), errors.Is(o.err, errJustEnded):
		return store.Record{}, fmt.Errorf("account %s: %w; begin again with: tokenkeeper login %[1]s", name, o.err)
	}
	return store.Record{}, a.named(o.err)
}
