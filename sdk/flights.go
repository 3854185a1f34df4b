package sdk

import (
	"sync"
	"time"
)

// overdue is how long after its deadline a call is still waited for: less than
// the next process waits for the spool before the holder is killed.
const overdue = 3 * time.Second

// flights are the calls of a plugin that should finish before its process ends.
// The zero value is ready.
type flights struct {
	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
	// last is the latest deadline of a call, by the monotonic clock.
	last time.Time
}

// begin counts a call in, unless nothing may begin any more. The caller counts
// it out with landed.
func (f *flights) begin(deadline time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.open.Add(1)
	now := time.Now()
	if t := now.Add(deadline.Sub(now)); t.After(f.last) {
		f.last = t
	}
	return true
}

func (f *flights) landed() { f.open.Done() }

// close lets nothing begin any more.
func (f *flights) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// drain lets nothing begin any more and waits for what is in flight, but not
// for ever for a call that does not mind its deadline: whoever ended the
// process wants it gone. It returns whether everything has landed.
func (f *flights) drain() bool {
	f.mu.Lock()
	f.closed = true
	left := time.Until(f.last) + overdue
	f.mu.Unlock()
	landed := make(chan struct{})
	go func() {
		defer close(landed)
		f.open.Wait()
	}()
	late := time.NewTimer(max(left, overdue))
	defer late.Stop()
	select {
	case <-landed:
		return true
	case <-late.C:
		return false
	}
}
