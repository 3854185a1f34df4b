package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// heldLong is how long another program may hold a shared file's lock before
// people are told.
const heldLong = time.Minute

// heldLock is the error of [SharedFile.Lock] when another program holds it.
type heldLock interface {
	error
	// HeldFor is since when that has been seen.
	HeldFor() time.Duration
}

// lasts says whether it takes a person to have a shared file locked: it is
// refused, or somebody holds it for long. That we are about to stop is neither.
func lasts(err error) bool {
	var held heldLock
	if errors.As(err, &held) {
		return held.HeldFor() >= heldLong
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// sharedHeld keeps the token that is still valid and plans another try.
func (k *Keeper) sharedHeld(a *leased, err error) error {
	k.mu.Lock()
	next := k.retry(a.account, schedule.Failure{InRow: 2})
	a.pauseFor(promise.LockHeld, err.Error())
	a.promise(next)
	long := lasts(err) || k.keptOut(a.account, err)
	news := long && a.file.shut == ""
	if long {
		a.file.shut = err.Error()
		k.changes(a.account)
	}
	k.mu.Unlock()
	level := slog.LevelWarn
	if news {
		level = slog.LevelError
	}
	k.publish(level, a.cfg.Name, event.Event{
		Type: event.SharedFileHeld, Expiry: a.rec().Token.Expiry(), Next: next,
		Message: "the shared file could not be locked, so nothing was refreshed: " + err.Error(),
	})
	return fmt.Errorf("account %s: lock the shared file: %w", a.cfg.Name, err)
}

// keptOut says whether other programs, one after the other, have held the lock
// for long whenever it was tried. The caller holds k.mu.
func (k *Keeper) keptOut(a *account, err error) bool {
	if _, held := errors.AsType[heldLock](err); !held {
		return false
	}
	now := k.clock.Now().Mono
	if a.file.outSince == nil {
		a.file.outSince = &now
	}
	return now-*a.file.outSince >= heldLong
}
