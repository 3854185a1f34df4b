package plugin

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// gate is the work of a sink's process: it lets calls through to the process
// that serves, and a generation ends when those that went through have come
// back. It implements [process.Work].
type gate struct {
	mu     sync.Mutex
	remote *sdk.RemoteSink // nil: no process serves
	opened chan struct{}   // closed when one serves
	broken chan struct{}   // closed when its connection is lost
	missed bool            // a call was turned away since

	calls  map[*call]struct{}
	latest time.Time     // deadline of all calls so far
	empty  chan struct{} // closed when no call is left; nil: nobody waits
}

// call is one in flight.
type call struct{ deadline time.Time }

func newGate() *gate {
	return &gate{opened: make(chan struct{}), calls: map[*call]struct{}{}}
}

// Run implements [process.Work].
func (g *gate) Run(ctx context.Context, conn grpc.ClientConnInterface) error {
	g.mu.Lock()
	broken := make(chan struct{})
	g.remote, g.broken = sdk.NewRemoteSink(conn), broken
	close(g.opened)
	g.mu.Unlock()

	var err error
	select {
	case <-ctx.Done():
	case <-broken:
		err = sdk.ErrConnection
	}

	g.mu.Lock()
	g.shut()
	empty := make(chan struct{})
	if len(g.calls) == 0 {
		close(empty)
	} else {
		g.empty = empty
	}
	g.mu.Unlock()
	<-empty // each call has its deadline, and the end of the process ends all
	return err
}

// shut lets no call through to the process that served. The caller holds mu.
func (g *gate) shut() {
	if g.remote != nil {
		g.remote, g.opened = nil, make(chan struct{})
	}
}

// lost tells that the connection to remote is gone, which a call notices before
// the kernel tells of the end of the process: the next call is not for it.
func (g *gate) lost(remote *sdk.RemoteSink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.remote == remote {
		g.shut()
		close(g.broken)
	}
}

// InFlight implements [process.Work].
func (g *gate) InFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// Deadline implements [process.Work].
func (g *gate) Deadline() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	var last time.Time
	for c := range g.calls {
		if c.deadline.After(last) {
			last = c.deadline
		}
	}
	return last
}

// Latest implements [process.Work].
func (g *gate) Latest() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.latest
}

// enter returns the process to call, which stays until done is called; nil if
// none serves. ctx has a deadline.
func (g *gate) enter(ctx context.Context) (remote *sdk.RemoteSink, done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.remote == nil {
		g.missed = true
		return nil, nil
	}
	c := &call{}
	c.deadline, _ = ctx.Deadline()
	g.latest = moment.Later(g.latest, c.deadline)
	g.calls[c] = struct{}{}
	return g.remote, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.calls, c)
		if len(g.calls) == 0 && g.empty != nil {
			close(g.empty)
			g.empty = nil
		}
	}
}

// await returns when a process serves, or with ctx's error.
func (g *gate) await(ctx context.Context) (*sdk.RemoteSink, error) {
	for {
		g.mu.Lock()
		remote, opened := g.remote, g.opened
		g.mu.Unlock()
		if remote != nil {
			return remote, nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// takeMissed says whether a call was turned away since it was last asked.
func (g *gate) takeMissed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	missed := g.missed
	g.missed = false
	return missed
}
