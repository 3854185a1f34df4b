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

// kept is a lock that waits for the next Lock. The zero value: there is none.
type kept struct {
	lock carrier
	over *time.Timer // lets it go
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
// goes on soon: what the file holds may be spent.
func (f *File) Keep(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock != nil {
		f.keep(f.lock, d)
		f.lock = nil
	}
}

// Inherit takes over a lock that an earlier process has left for the same
// reason, and keeps it in the same way. It returns false, and leaves lock to its
// caller, if that is not the lock of this file or somebody else has it by now.
func (f *File) Inherit(lock *os.File, d time.Duration) bool {
	if !f.isLock(lock) || flock(lock) != nil {
		return false
	}
	if before := f.takeKept(); before != nil {
		_ = before.Close() // it can only carry the same lock, which must not be given back
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep(lock, d)
	return true
}

// Forgo gives back what is kept, if anything is.
func (f *File) Forgo() {
	if lock := f.takeKept(); lock != nil {
		_ = f.free(lock)
	}
}

// keep is called with f.mu held.
func (f *File) keep(lock carrier, d time.Duration) {
	f.kept = kept{lock, time.AfterFunc(d, func() {
		f.mu.Lock()
		mine := f.kept.lock == lock
		if mine {
			f.kept = kept{}
		}
		f.mu.Unlock()
		if mine {
			_ = f.free(lock)
		}
	})}
}

// takeKept returns what was kept, nil if nothing was.
func (f *File) takeKept() carrier {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.kept
	f.kept = kept{}
	if k.lock != nil {
		k.over.Stop()
	}
	return k.lock
}

// resume is Lock with the lock that was kept; nil: there is none that counts.
func (f *File) resume() carrier {
	lock := f.takeKept()
	if lock == nil {
		return nil
	}
	if !f.isLock(lock) || flock(lock) != nil {
		_ = lock.Close()
		f.withdraw()
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

// free gives a lock back at once, also where another process has a copy of the
// descriptor.
func (f *File) free(lock carrier) error {
	err := errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
	f.withdraw()
	return err
}

func (f *File) withdraw() {
	if f.cfg.Deposit != nil {
		f.cfg.Deposit.Remove()
	}
}
