package sink

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/queue"
)

const (
	// grace is how long deliveries in flight may go on when the worker ends,
	// and lastGrace how long sinks have to notice that they are cancelled.
	grace     = 5 * time.Second
	lastGrace = 500 * time.Millisecond
)

// hands do what there is to do about the queue's keys, each of them one key at a
// time.
type hands struct {
	queue *queue.Queue[key]
	// do is called with a context that outlives the run's by the grace.
	do   func(ctx context.Context, k key)
	busy chan struct{} // of as many as there are hands
}

// run has keys taken until ctx ends, or until a panic, which the error tells of.
// What is in flight then has the grace to end. What hangs even so is left
// behind; its key stays in hand, so that nobody overtakes it.
func (h hands) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	tries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for range cap(h.busy) {
		h.busy <- struct{}{}
		go h.work(ctx, tries, end)
	}
	<-ctx.Done()
	h.drain(tries, cancel)
	return context.Cause(ctx)
}

// work is one hand.
func (h hands) work(ctx, tries context.Context, end context.CancelCauseFunc) {
	defer func() { <-h.busy }()
	for {
		k, ok := h.queue.Get(ctx)
		if !ok {
			return
		}
		err := protect("worker", func() error {
			defer h.queue.Done(k)
			h.do(tries, k)
			return nil
		})
		if err != nil {
			end(err)
		}
	}
}

// drain waits for the hands: first for what is in them to end, then for it to
// notice that it is cancelled.
func (h hands) drain(tries context.Context, cancel context.CancelFunc) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for idle := 0; idle < cap(h.busy); {
		select {
		case h.busy <- struct{}{}:
			idle++
		case <-timer.C:
			if tries.Err() != nil {
				return
			}
			cancel()
			timer.Reset(lastGrace)
		}
	}
}
