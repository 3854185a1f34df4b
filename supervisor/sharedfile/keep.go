package sharedfile

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// carrier is the descriptor that carries a lock.
type carrier interface {
	Fd() uintptr
	Stat() (fs.FileInfo, error)
	Close() error
}

// Deposit keeps a copy of the lock's descriptor for the time of an attempt,
// where it outlives this process.
type Deposit interface {
	Put(fd int) error
	// Remove does nothing if nothing is there.
	Remove()
}

// Keep keeps the lock that is held for the next Lock, at most for d, whatever
// its release does. It is for an attempt that nobody knows the end of, and that
// goes on soon: what the file holds may be spent. Meanwhile other Files of the
// same [Shelf] may lock, and nobody else.
func (f *File) Keep(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return
	}
	if is, err := f.lock.Stat(); err == nil {
		f.cfg.Shelf.keep(f, f.lock, is, d, f)
	}
}

// Inherit takes over a lock that an earlier process has left for the same
// reason, and keeps it in the same way. It returns false, and leaves lock to its
// caller, if that is not the lock of this file or somebody else has it by now.
// Several Files of one [Shelf] may be given the same one.
func (f *File) Inherit(lock *os.File, d time.Duration) bool {
	if !f.isLock(lock) || flock(lock) != nil {
		return false
	}
	is, err := lock.Stat()
	if err != nil {
		return false
	}
	f.cfg.Shelf.keep(f, lock, is, d, nil)
	return true
}

// Forgo ends what Keep and Inherit have begun, if anything has.
func (f *File) Forgo() { f.cfg.Shelf.end(f, func(*shelved) bool { return true }) }

// resume is Lock with the lock that was kept; nil: there is none that counts.
func (f *File) resume() carrier {
	named, err := f.named()
	if err != nil {
		return nil
	}
	lock := f.cfg.Shelf.take(f, named)
	if lock != nil && flock(lock) != nil {
		f.cfg.Shelf.dead(f, lock)
		return nil
	}
	return lock
}

// flock takes the lock, or makes sure that it is held.
func flock(lock carrier) error {
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// free gives a lock back, unless it is kept.
func (f *File) free(lock carrier) error {
	stays, claimed := f.cfg.Shelf.putBack(f, lock)
	if !claimed {
		f.withdraw()
	}
	if stays {
		return nil
	}
	return unlock(lock)
}

func (f *File) withdraw() {
	if f.cfg.Deposit != nil {
		f.cfg.Deposit.Remove()
	}
}
