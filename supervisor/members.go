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

// phase is the sets of members, each by its name, that end at the same time.
type phase []map[string]member

// set is a set of members of one kind.
func set[M member](members map[string]M) map[string]member {
	all := make(map[string]member, len(members))
	for name, m := range members {
		all[name] = m
	}
	return all
}

// runPhases runs every member of all phases until ctx ends, and then ends the phases
// one after the other, each when all members of the one before have returned. It is
// an actor of a run.Group, whose first actor to return would stop all others: so it
// never returns earlier, and what a member does wrong stays with that member.
func runPhases(ctx context.Context, log *slog.Logger, phases ...phase) error {
	var ends []func()
	for _, p := range phases {
		running, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var all sync.WaitGroup
		for _, members := range p {
			for name, m := range members {
				all.Go(func() { keepRunning(running, name, m, log) })
			}
		}
		ends = append(ends, func() {
			cancel()
			all.Wait()
		})
	}
	<-ctx.Done()
	for _, end := range ends {
		end()
	}
	return nil
}

// keepRunning starts a member again that has ended, until ctx ends.
func keepRunning(ctx context.Context, name string, m member, log *slog.Logger) {
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
