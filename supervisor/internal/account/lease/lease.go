// Package lease keeps an account's state, and what else only whoever works on the
// account may touch, behind the right to do so. Code that has no [Lease] sees how
// the account stands; what would change it does not compile. The package knows no
// rule, and waits for nobody.
package lease

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
)

// ErrOver: the lease was given back before. It is a defect of who uses it.
var ErrOver = errors.New("the account's lease was given back")

// Account is one account; the zero value has no token and no attempt. Its Desk is
// what the work on it leaves for the next who has the lease. It is safe for
// concurrent use.
type Account[Desk any] struct {
	state  atomic.Pointer[account.State]
	course atomic.Pointer[account.Course]
	taken  atomic.Bool
	desk   Desk
}

// State is how the account stands now.
func (a *Account[Desk]) State() account.State {
	s := account.State{Standing: account.None{}, Attempt: account.Attempt{Stage: account.Free{}}}
	if now := a.state.Load(); now != nil {
		s = *now
	}
	s.Course = account.Runs{}
	if c := a.course.Load(); c != nil {
		s.Course = *c
	}
	return s
}

// Steer sets the account's course, whoever has the lease: that is a person's affair, and no
// work on the account changes it.
func (a *Account[Desk]) Steer(c account.Course) { a.course.Store(&c) }

// Taken says whether somebody has the lease.
func (a *Account[Desk]) Taken() bool { return a.taken.Load() }

// Try takes the lease; ok is false if somebody has it.
func (a *Account[Desk]) Try() (l *Lease[Desk], ok bool) {
	if !a.taken.CompareAndSwap(false, true) {
		return nil, false
	}
	return &Lease[Desk]{a}, true
}

// Lease is the right to act on an account, which one goroutine has.
type Lease[Desk any] struct{ of *Account[Desk] }

// Happened says what has happened to the account, and returns what is to be done
// now. After an error, which is [account.ErrImpossible] or [ErrOver], it stands as
// before.
func (l *Lease[Desk]) Happened(e account.Event, now time.Time) (account.Action, error) {
	if l.of == nil {
		return account.Wait, ErrOver
	}
	next, action, err := account.Next(l.of.State(), e, now)
	if err == nil {
		l.of.state.Store(&next)
	}
	return action, err
}

// Desk is what the work on the account has left. After End it is an empty one of
// nobody's: what is written there is gone, and what the next has is not touched.
func (l *Lease[Desk]) Desk() *Desk {
	if l.of == nil {
		return new(Desk)
	}
	return &l.of.desk
}

// End gives the lease back.
func (l *Lease[Desk]) End() {
	if l.of != nil {
		l.of.taken.Store(false)
		l.of = nil
	}
}
