package refresh

import (
	"context"
	"os"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
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
	// Keep keeps the lock that is held for the next Lock, at most for d, and its
	// release then does nothing. Inherit keeps one that another process has left,
	// if it is this file's. Forgo gives back what is kept.
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
