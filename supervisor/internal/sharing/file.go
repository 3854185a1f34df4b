// Package sharing is how an account lives with the programs that share its token file:
// what is done under the file's lock, what is concluded from what stands there, what is
// written, and what a person is asked. The file itself is package sharedfile's; to take
// a token from it, and to plan, is the cycle's, which has the account's lease.
package sharing

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// File is a token file that other programs read and write too. Package sharedfile has
// the real one.
type File interface {
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
	// [format.ErrUnreadable] means that no token is there, but for a refresh token
	// that is returned beside it and stands whole in what is left; after any other,
	// nobody knows what is.
	Read() (format.Document, error)
	// Prove makes sure that the next Write, or Supersede, can be made, and keeps what
	// it needs until then or until the lock is given back. The error says what to do.
	Prove() error
	// Replaceable is Prove without the lock, and keeps nothing.
	Replaceable() error
	// Write replaces what is in the file, and keeps what we do not know.
	Write(d format.Document) error
	// KeepRest keeps what is left of a file that is cut off or damaged at the path
	// that is returned, if anything is, and leaves the file as it is.
	KeepRest() (kept string, err error)
	// Mend is Write for a file that is gone or damaged. What is left of it is
	// kept at the path that is returned, if anything is.
	Mend(d format.Document) (kept string, err error)
	// Supersede is Write for a file that can't be read. It is kept as it is at the
	// path that is returned.
	Supersede(d format.Document) (kept string, err error)
	// TakeOut takes a dead refresh token out of the file, if it stands there, which took
	// says, and leaves all else.
	TakeOut(dead sdk.Secret) (took bool, err error)
}

// holdsNothing says whether err, of reading a shared file, means that it is
// gone, empty, cut off or damaged.
func holdsNothing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrUnreadable)
}

// heldLong is how long another program may hold a shared file's lock before
// people are told.
const heldLong = time.Minute

// heldLock is the error of [File.Lock] when another program holds it.
type heldLock interface {
	error
	// HeldFor is since when that has been seen.
	HeldFor() time.Duration
}

// lasts says whether it takes a person to have a shared file locked: it is
// refused, or somebody holds it for long. That we are about to stop is neither.
func lasts(err error) bool {
	if held, ok := errors.AsType[heldLock](err); ok {
		return held.HeldFor() >= heldLong
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
