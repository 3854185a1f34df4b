package process

import (
	"context"
	"errors"
	"fmt"
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

// Restart replaces the process and returns when the new one serves. Calls
// in flight finish first. It skips the backoff and takes a parked plugin up
// again. When ctx ends, the restart goes on all the same.
func (m *Member) Restart(ctx context.Context) (Restarted, error) {
	m.mu.Lock()
	if m.over {
		m.mu.Unlock()
		return Restarted{}, m.errStopped()
	}
	w := &waiter{oldPID: m.status.PID, done: make(chan struct{})}
	m.waiters = append(m.waiters, w)
	m.status.Restarts++
	signal(m.asked)
	m.mu.Unlock()
	select {
	case <-w.done:
		return w.result, w.err
	case <-ctx.Done():
		return Restarted{}, fmt.Errorf("%s: the restart goes on, but the new process does not serve yet; "+
			"see: tokenkeeper status: %w", m, ctx.Err())
	}
}

func (m *Member) errStopped() error {
	return fmt.Errorf("%s was not restarted: the supervisor is stopping", m)
}

// Probe asks for a sign of life now instead of at the next interval: for a
// call that ran into its deadline. It does not wait.
func (m *Member) Probe() { signal(m.probe) }

// takeWaiters returns those whose restart the next process is.
func (m *Member) takeWaiters() []*waiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.asked:
	default:
	}
	w := m.waiters
	m.waiters = nil
	return w
}

// restartPending says whether somebody waits for the next process. A wake of
// m.asked alone does not tell: a generation that ends may have used it up.
func (m *Member) restartPending() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiters) > 0
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

// signal wakes the receiver of a channel with room for one, if it is not
// awake already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
