package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds how a login is polled. Each poll is an attempt of its own, announced
// and spooled: the one that finds the person done gets the token.

const (
	// pollUsual is for a login of which nobody says how often it is polled (RFC 8628,
	// section 3.5).
	pollUsual = 5 * time.Second
	pollLeast = time.Second
	// pollMost is the longest pause for a broker that can't be asked and does not want
	// a longer one.
	pollMost = time.Minute
	// slowerBy is by how much a broker that says slow_down is asked more seldom (RFC
	// 8628, section 3.5).
	slowerBy = 5 * time.Second
	// idleSleep is for who has nothing to wait for but a wake.
	idleSleep = 24 * time.Hour
)

// polling is how an open login is polled. It is guarded by the lock of the open logins.
type polling struct {
	at       time.Duration // when next, on the monotonic clock; 0: not planned
	failures int           // in a row, in which the broker could not be asked
	under    chan struct{} // closed when the poll ends that is made; nil: none is
	lost     time.Time     // when a poll began whose answer was lost; zero: none was
}

// PollLogins polls the open logins until ctx ends.
func (f *Front) PollLogins(ctx context.Context) {
	for {
		timer := time.NewTimer(f.startPolls(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-f.open.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// startPolls starts the polls that are due, and returns how long there is none.
func (f *Front) startPolls(ctx context.Context) time.Duration {
	now, wait := f.now(), idleSleep
	for _, l := range f.open.all() {
		left, polled := l.nextPoll(now.Wall, now.Mono)
		if !polled {
			continue
		}
		if left <= 0 {
			left, _ = f.unpolled(l)
		}
		if left > 0 {
			wait = min(wait, left)
			continue
		}
		flight, ok := f.cycle.BeginPoll(l.Account)
		if !ok { // a poll that ends wakes who polls
			continue
		}
		if !l.beginPoll() {
			flight.Done()
			continue
		}
		go f.poll(ctx, flight, l)
	}
	return wait
}

// unpolled is [Cycle.Unpolled] of a login, if it is polled.
func (f *Front) unpolled(l *Login) (time.Duration, error) {
	if l.Poll == "" {
		return 0, nil
	}
	return f.cycle.Unpolled(l.Account, l.Poll)
}

// nextPoll is how long it takes until the login is polled; ok is false if it is not.
func (l *Login) nextPoll(wall time.Time, mono time.Duration) (left time.Duration, ok bool) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.lives(wall) || !l.mayBePolled() {
		return 0, false
	}
	if l.polls.at == 0 {
		l.polls.at = mono + l.l.Guided.PollEvery
	}
	return l.polls.at - mono, true
}

// mayBePolled says whether nothing else is done with the login. The caller holds the
// lock.
func (l *Login) mayBePolled() bool {
	return l.Poll != "" && l.isOpen() && l.stage == waits && l.polls.under == nil && !l.unsettled
}

// beginPoll notes that the login is being polled, if it still may be.
func (l *Login) beginPoll() bool {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.mayBePolled() {
		return false
	}
	l.polls.under = make(chan struct{})
	return true
}

// endPoll plans the next poll after one with that outcome.
func (l *Login) endPoll(mono time.Duration, outcome error) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	close(l.polls.under)
	l.polls.under = nil
	l.polls.at = mono + l.polls.next(l.l, outcome)
}

// poll asks once whether the person is done, and plans the next time.
func (f *Front) poll(ctx context.Context, flight Flight, l *Login) {
	err := flight.Ask(ctx, l.State)
	f.paceBy(ctx, l, err)
	l.endPoll(f.now().Mono, err)
	flight.Done()
	f.open.Wake()
}

// paceBy takes over the pace that a broker wants from now on, and makes it durable.
func (f *Front) paceBy(ctx context.Context, l *Login, pending error) {
	noted, changed := l.pace(pending)
	if !changed {
		return
	}
	if err := f.cfg.Store.PutLogin(context.WithoutCancel(ctx), noted); err != nil {
		f.cfg.log(l.Account).Warn("the broker wants to be asked less often whether a login is done, which could not be stored; a restart forgets it", "every", noted.Guided.PollEvery, "error", err)
	}
}

// pace is the login with the pace that a broker wants from now on, and whether that is
// another one for a login that goes on.
func (l *Login) pace(pending error) (noted store.Login, changed bool) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	every := paceOf(l.l, pending)
	changed = l.isOpen() && every != l.l.Guided.PollEvery
	l.l.Guided.PollEvery = every
	return l.l, changed
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
func (f *Front) awaitPoll(ctx context.Context, name string) error {
	under := f.open.underPoll(name)
	if under == nil {
		return nil
	}
	select {
	case <-under:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("account %s: the broker is being asked just now whether the login is done; try again: %w", name, ctx.Err())
	}
}

// underPoll is closed when the poll of the account's login ends that is made; nil: none
// is.
func (o *Open) underPoll(account string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[account]; l != nil {
		return l.polls.under
	}
	return nil
}
