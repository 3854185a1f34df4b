package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// member is one part of a set: a provider with its generations, or a sink's
// worker. Run returns when ctx has ended.
type member interface {
	Run(ctx context.Context) error
}

// memberPause is how long a member that panicked or gave up is left alone.
const memberPause = time.Second

// runMembers runs every member until ctx ends, and returns when all of them
// have. It is an actor of a run.Group, whose first actor to return would stop
// all others: so it never returns earlier, and what a member does wrong stays
// with that member.
func runMembers[M member](ctx context.Context, members map[string]M, log *slog.Logger) error {
	var all sync.WaitGroup
	for name, m := range members {
		all.Go(func() {
			for {
				err := runMember(ctx, m)
				if ctx.Err() != nil {
					return
				}
				log.Error("a part of the supervisor ended and is started again", "member", name, "error", err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(memberPause):
				}
			}
		})
	}
	<-ctx.Done()
	all.Wait()
	return nil
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
