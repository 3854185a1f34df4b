package refresh

import (
	"context"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
)

// This file is the loop of a Keeper that only observes. No process serves through it, so
// that no account has its turn: each is planned as ever, and nothing comes of that.

// What an account would do next, see [Shown.Would], beside the names of attempts.
const (
	// WouldSettle: it would be asked of the spool what became of an attempt that is open.
	WouldSettle = "settle"
	// WouldWait for what [Shown.Waiting], [Shown.Withheld] or [Shown.WouldFirst] says.
	WouldWait = "wait"
	// WouldNothing: only a person can help it, if it needs help.
	WouldNothing = "nothing"
)

// observer is a Keeper that only looks.
type observer struct{ *Keeper }

// run sees what stands open, and from then on what other programs write into the shared
// files, until ctx ends.
func (k observer) run(ctx context.Context) error {
	for _, a := range k.order {
		if err := (observed{a}).open(ctx); err != nil {
			return err
		}
	}
	k.ahead.tellGrantedElsewhere()
	for first := true; ctx.Err() == nil; first = false {
		for _, a := range k.ahead.peeks.sharing {
			if err := (observed{a}).shared(ctx, first); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-k.wake:
		}
	}
	return nil
}

// observed is an account that is looked at.
type observed struct{ *account }

// open takes note of an attempt that is announced. What became of it only the spool
// knows, and that is for who takes what it holds.
func (a observed) open(ctx context.Context) error {
	in, announced, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	}
	if !announced {
		return nil
	}
	l, err := a.claim(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	l.found(in, true)
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	l.replan()
	return nil
}

// shared looks at the account's shared file, without its lock, if that may have changed
// or it is the first look.
func (a observed) shared(ctx context.Context, first bool) error {
	a.keeper.mu.Lock()
	wanted := a.look.wanted
	a.look = glance{}
	a.keeper.mu.Unlock()
	if !wanted && !first {
		return nil
	}
	l, err := a.claim(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	before, _ := sharing.Lacks(a.share, a.rec())
	if _, err := (sharer{l}).adopt(ctx); err != nil { // what a person is asked stands in the status
		a.Log().Debug("nothing was taken from the shared file", "error", err)
	}
	if lacks, _ := sharing.Lacks(a.share, a.rec()); lacks != "" && lacks != before {
		a.Log().Warn(lacks+"; this supervisor only observes, and leaves it as it is", "path", a.cfg.SharedPath)
	}
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	l.replan()
	return nil
}

// would is what the account would do next, at its due moment if it has one. unseen: a
// shared file that can't be read keeps it from that. The caller holds k.mu.
func (a view) would(s Status, unseen bool) string {
	switch {
	case s.Pause != nil, s.Asked != "", s.Withheld != "", unseen:
		return WouldWait
	case a.state().IsCut():
		return WouldSettle
	case s.Due.IsZero():
		return WouldNothing
	}
	return s.Act
}
