package sharedfile

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// carrier is the descriptor that carries a lock.
type carrier interface {
	Fd() uintptr
	Stat() (fs.FileInfo, error)
	Close() error
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

// unlock gives a lock back at once, also where another process has a copy of the
// descriptor.
func unlock(lock carrier) error {
	return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
}
