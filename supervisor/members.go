package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// member is one part of the crew: a provider with its generations, or a sink's
// worker. Run returns when ctx has ended.
type member interface {
	Run(ctx context.Context) error
}

// memberPause is how long a member that panicked or gave up is left alone.
const memberPause = time.Second

// stage is when a member ends: all of one stage have returned before those of the next
// one are ended.
type stage int

const (
	// keeping: what brings tokens, what looks at them, and what says elsewhere that all
	// is well. A refresh that was sent is heard out.
	keeping stage = iota
	// delivering: the last refresh's token should still go out.
	delivering
	// serving: the processes of sinks, through which it goes.
	serving
	// noting: what writes down what happened until then.
	noting
	stages
)

// post is the place of one member.
type post struct {
	stage stage
	kind  string
	name  string // "": the only one of its kind
}

func (p post) String() string {
	if p.name == "" {
		return p.kind
	}
	return p.kind + " " + p.name
}

// crew runs the members of all stages. They come and go while it runs; what one does wrong
// stays with that one. It is safe for concurrent use.
type crew struct {
	log *slog.Logger

	mu      sync.Mutex
	hands   map[post]*hand
	running [stages]context.Context // nil: it does not run yet
}

// hand is a member at its post.
type hand struct {
	member member
	cancel context.CancelFunc // nil: it was never started
	done   chan struct{}
}

func newCrew(log *slog.Logger) *crew { return &crew{log: log, hands: map[post]*hand{}} }

// add gives a post to a member, which runs as soon as the crew does. Whoever had the
// post has left it. late: its stage has ended, and so it never runs.
func (c *crew) add(p post, m member) (late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &hand{member: m, done: make(chan struct{})}
	c.hands[p] = h
	c.start(p, h)
	return c.running[p.stage] != nil && h.cancel == nil
}

// start runs a member if its stage does. The caller holds mu.
func (c *crew) start(p post, h *hand) {
	stage := c.running[p.stage]
	if stage == nil || stage.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(stage)
	h.cancel = cancel
	go func() {
		defer close(h.done)
		keepRunning(ctx, p, h.member, c.log)
	}()
}

// end ends the members at these posts, and returns when all of them have.
func (c *crew) end(posts ...post) {
	ending := map[post]*hand{}
	c.mu.Lock()
	for _, p := range posts {
		if h := c.hands[p]; h != nil && h.cancel != nil {
			h.cancel()
			ending[p] = h
		} else {
			delete(c.hands, p)
		}
	}
	c.mu.Unlock()
	for p, h := range ending {
		<-h.done // until then it is waited for by who ends its stage, too
		c.mu.Lock()
		if c.hands[p] == h {
			delete(c.hands, p)
		}
		c.mu.Unlock()
	}
}

// run runs all members until ctx ends, and then ends the stages one after the other. It
// is an actor of a run.Group, whose first actor to return would stop all others: so it
// never returns earlier.
func (c *crew) run(ctx context.Context) error {
	var ends [stages]context.CancelFunc
	c.mu.Lock()
	for s := range ends {
		c.running[s], ends[s] = context.WithCancel(context.WithoutCancel(ctx)) //nolint:fatcontext // one for each stage
	}
	for p, h := range c.hands {
		c.start(p, h)
	}
	c.mu.Unlock()
	<-ctx.Done()
	for s, end := range ends {
		end()
		c.await(stage(s))
	}
	return nil
}

// await returns when nobody of a stage that was ended runs any more.
func (c *crew) await(s stage) {
	var ending []*hand
	c.mu.Lock()
	for p, h := range c.hands {
		if p.stage == s && h.cancel != nil {
			ending = append(ending, h)
		}
	}
	c.mu.Unlock()
	for _, h := range ending {
		<-h.done
	}
}

// keepRunning starts a member again that has ended, until ctx ends.
func keepRunning(ctx context.Context, p post, m member, log *slog.Logger) {
	for {
		err := runMember(ctx, m)
		if ctx.Err() != nil {
			return
		}
		log.Error("a part of the supervisor ended and is started again", "member", p.String(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(memberPause):
		}
	}
}

func runMember(ctx context.Context, m member) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may hold anything, a token too: its type and the
			// stack have to do.
			err = fmt.Errorf("panic of type %T\n%s", v, debug.Stack())
		}
	}()
	return m.Run(ctx)
}
