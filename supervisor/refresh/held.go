package refresh

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// This file holds what follows where the lock of a shared file can't be had.

// deed is what is to be done under the lock of a shared file, as people are told of it if that
// can't be had.
type deed string

const (
	toRefresh     deed = "nothing was refreshed"
	toLook        deed = "the file was not looked at"
	toBringImport deed = "the imported token was not brought there"
	toBringAnswer deed = "what the broker has answered was not brought there"
	toLogIn       deed = "the code of the login was not used"
	toConfirm     deed = "the login that waits was not confirmed"
	toRevoke      deed = "nothing was revoked"
)

// again says what becomes of it: what a person wants is not done later by itself.
func (d deed) again() string {
	switch d {
	case toLogIn, toConfirm, toRevoke:
		return "Try again once that is over"
	}
	return "It is tried again"
}

// deed is what the turn is for, as far as that is known before the lock is had.
func (a *round) deed() deed {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if a.onlyLooks() {
		return cmp.Or(a.look.to, toLook)
	}
	return toRefresh
}

// silentPause is that of so many failures in a row: half a minute. Once the disk answers,
// the file is looked at without it.
const silentPause = 5

// sharedHeld keeps the token that is still valid and plans another try.
func (a sharer) sharedHeld(err error, not deed) error {
	if errors.Is(err, sharing.ErrSilent) {
		return a.sharedSilent(err, not)
	}
	long, news := a.share.ShutOut(err)
	a.keeper.mu.Lock()
	next := a.putOffDue(2, promise.LockHeld, err)
	if long {
		a.changes()
	}
	a.keeper.mu.Unlock()
	level := slog.LevelWarn
	if news {
		level = slog.LevelError
	}
	a.Publish(level, event.Event{
		Type: event.SharedFileHeld, Expiry: a.rec().Token.Expiry(), Next: next,
		Message: fmt.Sprintf("the shared file could not be locked, so %s: %v", not, err),
	})
	return fmt.Errorf("account %s: lock the shared file: %w", a.cfg.Name, err)
}

// sharedSilent is sharedHeld where the disk does not answer, also where that shows only
// once it is locked.
func (a sharer) sharedSilent(err error, not deed) error {
	a.keeper.mu.Lock()
	next := a.putOffDue(silentPause, promise.DiskAway, err)
	a.keeper.mu.Unlock()
	sharing.DiskTrouble(a.share, err, event.Event{
		Expiry: a.rec().Token.Expiry(), Next: next,
		Message: fmt.Sprintf("%v. Without what it holds, and its lock, %s. %s", err, not, not.again()),
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

// putOffDue puts an account off that is due, and returns when its turn is. The caller
// holds k.mu.
func (a sharer) putOffDue(inRow int, why promise.Reason, err error) time.Time {
	next, planned := a.plan.due()
	if !planned || !next.After(a.keeper.clock.Now().Wall) { // otherwise it was not due: somebody logs in
		next = delayed(a).retryUnasked(inRow, why, err)
	}
	return next
}
