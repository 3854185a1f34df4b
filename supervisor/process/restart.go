package process

import (
	"context"
	"errors"
	"sync"
)

// errRestart ends a generation because a person asked for it.
var errRestart = errors.New("a restart was asked for")

// Restarted is the answer to a restart.
type Restarted struct {
	// OldPID is the process that ran when the restart was asked for; 0: none.
	OldPID int
	// PID and Generation of the one that serves now.
	PID        int
	Generation int
}

// waiter is a person who waits for a restart.
type waiter struct {
	oldPID int
	done   chan struct{}
	result Restarted
	err    error
}

// restarts are the people who wait for one. It is safe for concurrent use.
type restarts struct {
	// asked wakes who can begin with it. That alone does not tell whether somebody waits: a
	// generation that ends may have used it up.
	asked chan struct{}

	mu      sync.Mutex // guards what follows
	waiters []*waiter
	over    bool
}

func newRestarts() *restarts { return &restarts{asked: make(chan struct{}, 1)} }

// ask is one more who waits; nil: there is no next process. begins notes that, and
// returns the process that runs.
func (r *restarts) ask(begins func() (pid int)) *waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	w := &waiter{oldPID: begins(), done: make(chan struct{})}
	r.waiters = append(r.waiters, w)
	signal(r.asked)
	return w
}

// take returns those whose restart the next process is.
func (r *restarts) take() []*waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.asked:
	default:
	}
	w := r.waiters
	r.waiters = nil
	return w
}

// again has those wait for the next process who were not answered.
func (r *restarts) again(waiters []*waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range waiters {
		select {
		case <-w.done:
		default:
			r.waiters = append(r.waiters, w)
		}
	}
}

// pending says whether somebody waits for the next process.
func (r *restarts) pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiters) > 0
}

// end returns those for whom no process comes any more.
func (r *restarts) end() []*waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	w := r.waiters
	r.waiters = nil
	return w
}

// answer ends the waiting of those who have not been answered: with err, or,
// if err is nil, with the process that serves.
func answer(waiters []*waiter, err error) {
	for _, w := range waiters {
		select {
		case <-w.done:
		default:
			w.err = err
			close(w.done)
		}
	}
}

// startable says what would keep a new process from being started from the program that is
// there now: one that has changed is asked whether it is of that type, as at a start. On a
// disk that is dead it leaves behind who looks.
func (c Command) startable(ctx context.Context, is string, changed func() bool) error {
	tried := make(chan error, 1)
	go func() {
		var err error
		if changed() {
			_, err = inspect(ctx, c, is)
		} else {
			_, err = c.locate()
		}
		tried <- err
	}()
	select {
	case err := <-tried:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signal wakes the receiver of a channel with room for one, if it is not
// awake already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
