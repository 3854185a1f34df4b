package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what the cycle does with the shared file of an account, which is
// package sharing's.

// sharer is an account at whose shared file, if it has one, somebody is at work.
type sharer struct{ *leased }

// withShared runs fn, which is to do that, while the account's shared file is locked;
// without a shared file, or within withShared, it just runs fn.
func (a sharer) withShared(ctx context.Context, to deed, fn func() error) error {
	if a.share == nil || a.share.IsLocked() {
		return fn()
	}
	release, err := a.share.Lock(ctx)
	if err != nil {
		return a.sharedHeld(err, to)
	}
	defer release()
	return fn()
}

// settleShared is withShared for an attempt that was answered already: its
// token is made durable also while another program holds the lock. The shared
// file is then put right at a later look.
func (a sharer) settleShared(ctx context.Context, fn func() error) error {
	ran := false
	err := a.withShared(ctx, toBringAnswer, func() error {
		ran = true
		return fn()
	})
	if ran {
		return err
	}
	return fn()
}

// lend lets the provider hold the shared file's lock for the attempt, so that
// our death while the request is on its way lets no other program use the
// refresh token a second time. If that can't be had, the attempt is made all the
// same.
func (a attempt) lend() {
	err := a.share.Lend(func(fd int) error { return a.remote.LendLock(a.in.Attempt, fd) })
	if err != nil && !errors.Is(err, lockloan.ErrNotTaken) {
		a.Log().Warn("the shared file's lock would not outlive the death of this process during the attempt", "attempt", a.in.Attempt, "error", err)
	}
}

// prove makes sure, before the attempt is announced, that the shared file can
// be replaced. If it can't, nothing is spent, and it is tried again with growing
// pauses.
func (a *round) prove() error {
	inRow, err := a.share.Prove()
	if err == nil {
		return nil
	}
	a.keeper.mu.Lock()
	a.step(acct.Failed{Kind: sdk.KindNotSent, Error: err.Error(), At: a.keeper.clock.Now().Wall})
	next := delayed{a.leased}.retryUnasked(inRow, promise.DiskAway, err)
	a.keeper.mu.Unlock()
	sharing.DiskTrouble(a.share, err, event.Event{
		Kind: string(sdk.KindNotSent), Expiry: a.rec().Token.Expiry(), Next: next,
		Message: err.Error() + ". The refresh token was not used, because the other programs would be left with a dead one. It is tried again",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

// bringToShared brings an answer's token to the shared file, whose lock is held.
// An answer may come late: it waited in the spool for the next start, or the disk
// took it after hours. Then what is in the file may be newer: it is not written over,
// but looked at once the work on the account ends.
func (a answered) bringToShared(rec store.Record) {
	if !a.share.IsLocked() {
		return
	}
	justNow := spool.IsLogin(a.in.Kind) && !a.answer.Recovered // a person has logged in
	a.keeper.mu.Lock()
	o := a.ours()
	a.keeper.mu.Unlock()
	o.Record, o.Open = rec, false
	switch {
	case justNow || a.share.MayReplace(o):
		if a.share.Write(rec) {
			return
		}
	case sharing.Unread{Share: a.share}.Supersede(rec):
		return
	default:
		a.lookWhenIdle(toBringAnswer)
	}
	if sharing.Silent(a.share) { // the file holds what is spent: the lock is kept for the look that comes once the disk answers
		a.share.Keep()
	}
}

// Touch is called when an account's shared file may have changed, or what a
// destination holds: the account is looked at soon, but not refreshed before it
// is due.
func (k *Keeper) Touch(name string) {
	k.mu.Lock()
	a, ok := k.accounts[name]
	if ok && !a.state().IsCut() && !a.ifIdle(func(a *leased) { sharer{a}.lookSoon() }) {
		a.look.wanted = true // release has it looked at
	}
	k.mu.Unlock()
	k.signal()
}

// lookWhenIdle has the shared file looked at once the work on the account ends, to do
// that: it does not hold yet what came from elsewhere.
func (a *leased) lookWhenIdle(to deed) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if a.cfg.Shared != nil {
		a.look.wanted, a.look.to = true, cmp.Or(a.look.to, to)
	}
}

// lookSoon makes an account due for a look, and notes when it was due before; also if
// it has been planned anew since an earlier touch. Where a look would come to nothing
// just now, it waits for the turn that the account has. The caller holds k.mu.
func (a sharer) lookSoon() {
	now := a.keeper.clock.Now()
	due, planned := a.plan.due()
	switch {
	case !a.looksLater(now):
		if !a.look.wanted || due.After(now.Wall) {
			a.look.planned = due
		}
		a.plan.dueAt(now.Wall, now)
	case !planned:
		a.plan.dueAt(now.Wall.Add(askedAgain), now)
	}
	a.look.wanted = true
}

// looksLater says whether a turn now would end before its look: what was left open is
// settled first, and just now could not be, or nobody has got the lock, or the disk does
// not answer. The caller holds k.mu.
func (a sharer) looksLater(now schedule.Instant) bool {
	return delayed(a).resumes() || a.plan.kept(now.Wall, a.rec().Version).reason == promise.LockHeld || sharing.Silent(a.share)
}

// saw ends a wish to look.
func (a *round) saw() {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	a.look = glance{}
}

// adopt looks at the shared file, under its lock, and takes what is newer there.
// It returns whether the account has a new version; the error is
// [sharing.ErrUnseen] if nobody knows what is in the file, and errAsked if a person
// has to say what is to be done with it.
func (a sharer) adopt(ctx context.Context) (bool, error) {
	if a.share == nil {
		return false, nil
	}
	seen, err := a.share.Look(ctx, a.rec(), a.compare, a.say.anew())
	if err != nil {
		return false, err
	}
	if seen.Zone || seen.News {
		a.keeper.mu.Lock()
		a.changes()
		a.keeper.mu.Unlock()
	}
	switch {
	case seen.Newer != nil:
		return true, finder(a).takeFound(ctx, *seen.Newer, store.OriginExternal, theSharedFile+" "+a.cfg.SharedPath)
	case seen.Asked.Text != "":
		return false, a.awaitDecision(seen)
	}
	return false, nil
}

// askedAgain is how often an unknown token in a file is looked at.
const askedAgain = 30 * time.Second

// awaitDecision stops what would spend our refresh token, before a person has said what
// is to be done with the one in the shared file.
func (a sharer) awaitDecision(seen sharing.Sight) error {
	a.keeper.mu.Lock()
	now := a.keeper.clock.Now()
	next := now.Wall.Add(askedAgain)
	if !a.stored() || !a.rec().NeedsLogin() {
		a.plan.dueAt(next, now)
	}
	a.keeper.mu.Unlock()
	q := seen.Asked
	if seen.News {
		a.Publish(slog.LevelError, event.Event{
			Type: event.UnknownToken, Expiry: a.rec().Token.Expiry(), Next: next,
			Message: q.Text + ". Nothing is refreshed until somebody decides: " + q.Ways,
		})
	}
	return fmt.Errorf("account %s: %w: %s; %s", a.cfg.Name, errAsked, q.Text, q.Ways)
}

// question is what a person is asked about the shared file; its text is "" if nothing.
func (a *account) question() sharing.Question {
	return a.share.Asked(a.rec().Token.RefreshToken.Fingerprint())
}

// unseen decides what to do about a shared file that can't be read. It may hold
// a newer token, and using ours a second time could end the grant for everybody:
// so a token that is still valid is kept, and the refresh token until it is about to end.
// After that our record is all that there is, and what comes of it takes the file's place.
// A disk that does not answer is waited for in any case: it may be slow alone, and then
// the file can be read.
func (a *round) unseen(err error) error {
	if errors.Is(err, sharing.ErrSilent) {
		return sharer{a.leased}.sharedSilent(err, a.deed())
	}
	now, ends := a.keeper.clock.Now().Wall, a.rec().RefreshExpiry
	endsNow := now.Before(ends) && !now.Before(ends.Add(-lastMoment))
	if !a.rec().Token.Valid(now) || endsNow {
		a.Log().Warn("the shared file can't be read; our own record is used", "error", err)
		return nil
	}
	not := a.deed()
	a.keeper.mu.Lock()
	next := delayed{a.leased}.retryUnasked(2, promise.DiskAway, err)
	a.keeper.mu.Unlock()
	a.Trouble(slog.LevelError, event.Event{
		Type: event.DiskTrouble, Expiry: a.rec().Token.Expiry(), Next: next,
		Message: fmt.Sprintf("%v. It may hold a newer token, so %s. It is tried again; ", err, not) +
			"our own refresh token is used all the same when the access token has expired, or when it is about to end itself",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

// unread is the share in a file that could not be read.
func (a *round) unread() sharing.Unread { return sharing.Unread{Share: a.share} }

// lookOnly ends a turn that only looked at the shared file, and gives the account its old
// due time back.
func (a *round) lookOnly() bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	now, only := a.keeper.clock.Now(), a.onlyLooks()
	planned := a.look.planned
	a.look = glance{}
	switch {
	case !only:
	case !a.stored() && a.rec().Key == "":
		a.plan.notDue()
	case a.rec().NeedsLogin(), a.isPaused(), !planned.After(now.Wall):
		a.replan()
	default:
		a.plan.dueAt(planned, now)
	}
	return only
}

// onlyLooks says whether a turn now is for a look alone. The caller holds k.mu.
func (a *round) onlyLooks() bool {
	now := a.keeper.clock.Now().Wall
	switch {
	case a.wish.asked():
		return false // a person asked meanwhile
	case !a.stored() && a.rec().Key == "":
		return true
	case !a.look.wanted:
		return false
	case a.rec().NeedsLogin(), a.isPaused(), a.look.planned.After(now):
		return true
	}
	// It may be due all the same. But one that was not planned at all, as after
	// the last refresh that a login allows, is not due because of a look.
	due := a.dueOf(now)
	return due.IsZero() || due.After(now)
}

var errNothingShared = errors.New("the account has no token, and its shared file holds none yet")
