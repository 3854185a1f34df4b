package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Touch is called when an account's shared file may have changed, or what a
// destination holds: the account is looked at soon, but not refreshed before it
// is due.
func (k *Keeper) Touch(name string) {
	k.mu.Lock()
	a, ok := k.accounts[name]
	if ok && !a.state().IsCut() {
		if a.guard.Taken() {
			a.file.look = true // release has it looked at
		} else {
			a.lookSoon()
		}
	}
	k.mu.Unlock()
	k.signal()
}

// lookWhenIdle has the shared file looked at once the work on the account ends:
// it does not hold yet what came from elsewhere.
func (a *leased) lookWhenIdle() {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	a.file.look = a.file.look || a.cfg.Shared != nil
}

// lookSoon makes an idle account due for a look, and notes when it was due
// before; also if it has been planned anew since an earlier touch.
func (a *account) lookSoon() {
	now := a.keeper.clock.Now()
	if due, _ := a.keeper.heap.Due(a.cfg.Name); !a.file.look || due.After(now.Wall) {
		a.file.planned = due
	}
	a.file.look = true
	a.dueAt(now.Wall, now)
}

// peek touches every account whose shared file does not hold its newest
// token. It is the regular look, for where no notice of a change comes.
func (k *Keeper) peek() {
	for _, a := range k.sharing {
		name := a.cfg.Name
		d, err := a.cfg.Shared.Read()
		if holdsNothing(err) && a.canMend() {
			k.Touch(name)
		}
		if err != nil {
			continue
		}
		if _, j := a.compare(d); !settled(j.Verdict) {
			k.Touch(name)
		}
	}
}

// adopt reads the shared file again, under its lock, and takes what is newer.
// What is known to be older is put right. It returns whether the account has
// a new version; the error is errUnseen if nobody knows what is in the file,
// and errAsked if a person has to say what is to be done with it.
func (a *leased) adopt(ctx context.Context) (bool, error) {
	if a.cfg.Shared == nil {
		return false, nil
	}
	d, err := a.readShared(ctx)
	switch {
	case holdsNothing(err):
		a.keeper.mu.Lock()
		a.file.asked = question{}
		a.keeper.mu.Unlock()
		a.mend(err)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUnseen, err)
	}
	o, j := a.compare(d)
	older := j.Verdict == lineage.Past || j.Verdict == lineage.Stale
	known := older || j.Verdict.Newer() || settled(j.Verdict)
	a.keeper.mu.Lock()
	a.judgeZone(d, j.Verdict)
	if known {
		a.file.asked = question{}
	}
	a.keeper.mu.Unlock()
	switch {
	case j.Verdict.Newer():
		return true, a.takeFound(ctx, d, store.OriginExternal, theSharedFile+" "+a.cfg.SharedPath)
	case older:
		if a.writeShared(a.rec()) {
			a.publish(slog.LevelWarn, event.Event{
				Type: event.SharedFileMended, Version: a.rec().Version,
				Message: "the shared file held an older token than ours, which would not work any more; the newest was put there",
			})
		}
	case !known:
		return false, a.ask(d, o, j)
	}
	return false, nil
}

// settled says whether there is nothing to do about a shared file.
func settled(v lineage.Verdict) bool {
	return v == lineage.Silent || v == lineage.Same || v == lineage.Refused
}

var errUnseen = errors.New("the shared file can't be read")

// unseen decides what to do about a shared file that can't be read. It may hold
// a newer token, and using ours a second time could end the grant for everybody:
// so a token that is still valid is kept. When it is over, our record is all
// that there is.
func (a *leased) unseen(err error) error {
	if !a.rec().Token.Valid(a.keeper.clock.Now().Wall) {
		a.log().Warn("the shared file can't be read; our own record is used", "error", err)
		return nil
	}
	a.keeper.mu.Lock()
	next := a.putOff(2, promise.DiskAway, err)
	a.keeper.mu.Unlock()
	a.trouble(slog.LevelError, event.Event{
		Type: event.DiskTrouble, Expiry: a.rec().Token.Expiry(), Next: next,
		Message: err.Error() + ". It may hold a newer token, so nothing was refreshed. It is tried again; " +
			"when the access token has expired, our own refresh token is used all the same",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

// lookOnly ends a turn that only looked at the shared file, and gives the
// account its old due time back.
func (a *leased) lookOnly() bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	looked, planned := a.file.look, a.file.planned
	a.file.look, a.file.planned = false, time.Time{}
	now := a.keeper.clock.Now()
	switch {
	case a.wish.asked():
		return false // a person asked meanwhile
	case !a.stored() && a.rec().Key == "":
		a.notDue()
		return true
	case !looked:
		return false
	case a.rec().NeedsLogin():
		a.replan()
		return true
	case planned.After(now.Wall):
		a.dueAt(planned, now)
		return true
	}
	// It may be due all the same. But one that was not planned at all, as after
	// the last refresh that a login allows, is not due because of a look.
	if due := a.dueOf(now.Wall); due.IsZero() || due.After(now.Wall) {
		a.replan()
		return true
	}
	return false
}

var errNothingShared = errors.New("the account has no token, and its shared file holds none yet")
