package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// SharedFile is a token file that other programs read and write too. Package
// sharedfile has the real one.
type SharedFile interface {
	// Lock takes the lock that the other programs use. It gives up with an
	// error that says who holds it; it never steals.
	Lock(ctx context.Context) (release func() error, err error)
	// Held says who keeps Lock waiting; nil: nobody is known to.
	Held() error
	// Lend gives away a copy of the descriptor that carries the lock, which is
	// held.
	Lend(give func(fd int) error) error
	// Keep keeps the lock that is held for the next Lock, at most for d, whatever
	// its release does. Inherit keeps one that another process has left, if it is
	// this file's. Forgo ends either. Files that have one lock share what is kept.
	Keep(d time.Duration)
	Inherit(lock *os.File, d time.Duration) bool
	Forgo()
	// Read returns what is in the file. An error that is [fs.ErrNotExist] or
	// [format.ErrUnreadable] means that no token is there; after any other,
	// nobody knows what is.
	Read() (format.Document, error)
	// Prove makes sure that the next Write can be made, and keeps what it needs
	// until then or until the lock is given back. The error says what to do.
	Prove() error
	// Replaceable is Prove without the lock, and keeps nothing.
	Replaceable() error
	// Write replaces what is in the file, and keeps what we do not know.
	Write(d format.Document) error
	// Mend is Write for a file that is gone or damaged. What is left of it is
	// kept at the path that is returned, if anything is.
	Mend(d format.Document) (kept string, err error)
}

// file is what is known of an account's shared file.
type file struct {
	// look: it, or what a destination holds, may have changed; planned is when the
	// account was due before that.
	look    bool
	planned time.Time
	// locking: whoever is at work waits for its lock.
	locking bool
	// shut is why that lock can't be had, if it takes a person.
	shut string
	// outSince is since when, on the monotonic clock, others have held it whenever
	// it was tried; nil: they have not.
	outSince *time.Duration
	// asked is what a person has to decide about it.
	asked question
	// zone is why the local times in it can't be right.
	zone string
}

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
func (a *leased) sharedHeld(err error) error {
	a.keeper.mu.Lock()
	next := a.putOff(2, promise.LockHeld, err)
	long := lasts(err) || a.keptOut(err)
	news := long && a.file.shut == ""
	if long {
		a.file.shut = err.Error()
		a.changes()
	}
	a.keeper.mu.Unlock()
	level := slog.LevelWarn
	if news {
		level = slog.LevelError
	}
	a.publish(level, event.Event{
		Type: event.SharedFileHeld, Expiry: a.rec().Token.Expiry(), Next: next,
		Message: "the shared file could not be locked, so nothing was refreshed: " + err.Error(),
	})
	return fmt.Errorf("account %s: lock the shared file: %w", a.cfg.Name, err)
}

// keptOut says whether other programs, one after the other, have held the lock
// for long whenever it was tried. The caller holds k.mu.
func (a *account) keptOut(err error) bool {
	if _, held := errors.AsType[heldLock](err); !held {
		return false
	}
	now := a.keeper.clock.Now().Mono
	if a.file.outSince == nil {
		a.file.outSince = &now
	}
	return now-*a.file.outSince >= heldLong
}

// lend lets the provider hold the shared file's lock for the attempt, so that
// our death while the request is on its way lets no other program use the
// refresh token a second time. If that can't be had, the attempt is made all the
// same.
func (a *leased) lend(attempt string) {
	if !a.locked {
		return
	}
	err := a.cfg.Shared.Lend(func(fd int) error { return a.remote.LendLock(attempt, fd) })
	if err != nil && !errors.Is(err, lockloan.ErrNotTaken) {
		a.log().Warn("the shared file's lock would not outlive the death of this process during the attempt", "attempt", attempt, "error", err)
	}
}

// keptLonger is how much longer than an attempt may take a shared file's lock is
// kept for whoever settles it.
const keptLonger = time.Minute

// keepLock keeps the shared file's lock for the settling of an attempt whose
// process is lost: what the file holds may be spent.
func (a *leased) keepLock() {
	if a.locked {
		a.cfg.Shared.Keep(a.cfg.Timeout + keptLonger)
	}
}

// collect takes over, for as long as ctx lasts, the locks that a process of an
// earlier supervisor has kept for this one. The returned function waits for its
// end.
func (k *Keeper) collect(ctx context.Context) (end func()) {
	if k.cfg.Bequests == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.cfg.Bequests(ctx, k.inherit)
	}()
	return func() {
		cancel()
		<-done
	}
}

// inherit keeps a lock for the accounts whose shared files it is of, until they
// are settled: whose attempt it was, only the store and the spool know. What is
// of none, any more, is closed, and so no longer in anybody's way.
func (k *Keeper) inherit(lock *os.File) {
	taken := false
	for _, a := range k.sharing {
		if a.cfg.Shared.Inherit(lock, a.cfg.Timeout+keptLonger) {
			taken = true
			a.log().Info("the lock of the shared file was taken over from the start before, in which an attempt was cut off")
		}
	}
	if !taken {
		_ = lock.Close()
	}
}

// forgo gives back a lock that was kept for the settling of the account.
func (a *account) forgo() {
	if a.cfg.Shared != nil {
		a.cfg.Shared.Forgo()
	}
}

// withShared runs fn while the account's shared file is locked; without a
// shared file, or within withShared, it just runs fn.
func (a *leased) withShared(ctx context.Context, fn func() error) error {
	if a.cfg.Shared == nil || a.locked {
		return fn()
	}
	a.setLocking(true)
	release, err := a.cfg.Shared.Lock(ctx)
	a.setLocking(false)
	if err != nil {
		return a.sharedHeld(err)
	}
	crashpoint.Here("shared: locked")
	a.keeper.mu.Lock()
	a.locked, a.file.shut, a.file.outSince = true, "", nil
	a.keeper.mu.Unlock()
	defer func() {
		a.locked = false
		if err := release(); err != nil {
			a.log().Warn("the shared file's lock was not given back cleanly", "error", err)
		}
	}()
	return fn()
}

// setLocking notes that the account waits for the lock of its shared file.
func (a *account) setLocking(on bool) {
	a.keeper.mu.Lock()
	a.file.locking = on
	a.keeper.mu.Unlock()
}

// settleShared is withShared for an attempt that was answered already: its
// token is made durable also while another program holds the lock. The shared
// file is then put right at a later look.
func (a *leased) settleShared(ctx context.Context, fn func() error) error {
	ran := false
	err := a.withShared(ctx, func() error {
		ran = true
		return fn()
	})
	if ran {
		return err
	}
	return fn()
}
