package sink

import (
	"context"
	"sync"
)

// gates let one delivery at a time go to an account, or of an alert. They
// outlive the lanes, and each run of the worker, so that a delivery that was
// left behind is never overtaken; a gate at which nobody is costs nothing.
type gates struct {
	mu    sync.Mutex
	gates map[string]*gate
}

type gate struct {
	passing chan struct{}
	// users are whoever is in it and all who wait for it.
	users int
}

// enter waits until nobody else is in the gate. It returns false if ctx ended
// first; otherwise the caller must leave.
func (g *gates) enter(ctx context.Context, key string) bool {
	at := g.use(key)
	select {
	case at.passing <- struct{}{}:
		return true
	case <-ctx.Done():
		g.unuse(key)
		return false
	}
}

func (g *gates) leave(key string) {
	g.mu.Lock()
	<-g.gates[key].passing
	g.mu.Unlock()
	g.unuse(key)
}

func (g *gates) use(key string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.gates[key]
	if at == nil {
		if g.gates == nil {
			g.gates = map[string]*gate{}
		}
		at = &gate{passing: make(chan struct{}, 1)}
		g.gates[key] = at
	}
	at.users++
	return at
}

func (g *gates) unuse(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.gates[key]
	if at.users--; at.users == 0 {
		delete(g.gates, key)
	}
}
