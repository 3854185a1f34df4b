package mounts

import (
	"sync"
	"time"
)

// glance is how long is waited for a look that is made again and again.
const glance = time.Second

// Glance is a look that is made again and again at what a file system may hide that
// does not answer. One is under way at a time. It is safe for concurrent use.
type Glance[T any] struct {
	look func() T

	mu    sync.Mutex
	seen  T             // by the last one that came back
	over  chan struct{} // closed when the one that is under way comes back; nil: none is
	began time.Time
}

// NewGlance returns one that is to be made by look.
func NewGlance[T any](look func() T) *Glance[T] { return &Glance[T]{look: look} }

// Now returns what a look sees that is under way or begins now. If that does not come
// back in time, it is what the last one has seen.
func (g *Glance[T]) Now() T {
	over, began := g.under()
	timer := time.NewTimer(glance - time.Since(began)) // once for all who ask
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen
}

// under returns the look that is under way, which begins now if none is.
func (g *Glance[T]) under() (over <-chan struct{}, began time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over != nil {
		return g.over, g.began
	}
	came := make(chan struct{})
	g.over, g.began = came, time.Now()
	go func() {
		seen := g.look()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen, g.over = seen, nil
		close(came)
	}()
	return came, g.began
}
