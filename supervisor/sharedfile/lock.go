package sharedfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

const (
	// poll is how often a lock is tried for.
	poll = 100 * time.Millisecond
	// lookEvery is how often, meanwhile, it is found out who holds the lock.
	lookEvery = time.Second
)

// lockFile is the file that all programs lock, and our lock on it: taken, lent to
// who shall hold it also if we die, and kept for what is to go on under it. It is
// never removed, and nobody's lock on it is taken away. It is safe for concurrent use.
type lockFile struct {
	folders  *folders
	patience time.Duration
	deposit  Deposit // nil: none
	shelf    *Shelf
	seen     sighting

	mu   sync.Mutex // guards what follows
	ours carrier    // nil: we don't hold it
}

// Deposit keeps a copy of the lock's descriptor for the time of an attempt,
// where it outlives this process.
type Deposit interface {
	Put(fd int) error
	// Remove does nothing if nothing is there.
	Remove()
}

// take takes the lock, or has it back from the shelf, and waits for it as long as
// patience says: the error is then a [*HeldError].
func (l *lockFile) take(ctx context.Context) (got carrier, err error) {
	deadline := time.Now().Add(l.patience)
	var file files.File
	defer func() {
		if got == nil && file != nil {
			_ = file.Close()
		}
	}()
	for {
		if kept := l.resume(); kept != nil {
			if file != nil {
				_ = file.Close()
			}
			l.taken(kept)
			return kept, nil
		}
		if file == nil {
			if file, err = l.open(); err != nil {
				return nil, err
			}
		}
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("lock %s: %w", l.folders.lock, err)
		}
		// A program that removes the file or replaces it has left us with one
		// that keeps nobody out.
		if !l.is(file) {
			_ = file.Close()
			file = nil
		} else if err == nil {
			l.Forgo() // that was the lock of a file that is not there any more
			l.taken(file)
			return file, nil
		}
		if !time.Now().Before(deadline) {
			return nil, l.seen.look(0)
		}
		l.seen.look(lookEvery)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for its lock: %w", context.Cause(ctx))
		case <-time.After(min(poll, time.Until(deadline))):
		}
	}
}

// taken notes what carries our lock.
func (l *lockFile) taken(lock carrier) {
	l.seen.forget()
	l.mu.Lock()
	l.ours = lock
	l.mu.Unlock()
}

// release gives the lock back that take has returned, unless it is kept. It does
// nothing if that is not ours any more.
func (l *lockFile) release(lock carrier) error {
	l.mu.Lock()
	ours := l.ours == lock
	if ours {
		l.ours = nil
	}
	l.mu.Unlock()
	if !ours {
		return nil
	}
	stays, claimed := l.shelf.putBack(l, lock)
	if !claimed {
		l.withdraw()
	}
	if stays {
		return nil
	}
	return unlock(lock)
}

// Lend gives the descriptor that carries the lock to a program that shall hold
// it also if we die, and to Config.Deposit, while its caller holds the lock. As
// long as we live, release makes it free, whoever has copies.
func (l *lockFile) Lend(give func(fd int) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil {
		return fmt.Errorf("shared file %s: its lock is not held", l.folders.token)
	}
	var err error
	if l.deposit != nil {
		err = l.deposit.Put(int(l.ours.Fd()))
	}
	return errors.Join(err, give(int(l.ours.Fd())))
}

// withdraw takes back what Lend has put into the deposit.
func (l *lockFile) withdraw() {
	if l.deposit != nil {
		l.deposit.Remove()
	}
}

// Held says who held the lock when it was last asked for and could not be had; nil:
// it could. It finds out nothing itself.
func (l *lockFile) Held() error { return l.seen.last() }

// Keep keeps the lock that is held for the next Lock, at most for d, whatever
// its release does. It is for an attempt that nobody knows the end of, and that
// goes on soon: what the file holds may be spent. Meanwhile other Files of the
// same [Shelf] may lock, and nobody else.
func (l *lockFile) Keep(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil {
		return
	}
	if is, err := l.ours.Stat(); err == nil {
		l.shelf.keep(l, l.ours, is, d, l)
	}
}

// Inherit takes over a lock that an earlier process has left for the same
// reason, and keeps it in the same way. It returns false, and leaves lock to its
// caller, if that is not the lock of this file or somebody else has it by now.
// Several Files of one [Shelf] may be given the same one.
func (l *lockFile) Inherit(lock *os.File, d time.Duration) bool {
	if !l.is(lock) || flock(lock) != nil {
		return false
	}
	is, err := lock.Stat()
	if err != nil {
		return false
	}
	l.shelf.keep(l, lock, is, d, nil)
	return true
}

// Forgo ends what Keep and Inherit have begun, if anything has.
func (l *lockFile) Forgo() { l.shelf.end(l, func(*shelved) bool { return true }) }

// resume is the lock that was kept; nil: there is none that counts.
func (l *lockFile) resume() carrier {
	named, err := l.folders.named()
	if err != nil {
		return nil
	}
	lock := l.shelf.take(l, named)
	if lock != nil && flock(lock) != nil {
		l.shelf.dead(l, lock)
		return nil
	}
	return lock
}

// is says whether file is still what the lock's path names.
func (l *lockFile) is(file carrier) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := l.folders.named()
	return err == nil && os.SameFile(ours, named)
}

// open opens the file, and creates it if it is missing. Reading is
// enough to lock a local file, so that a program with less rights than its
// owner can take part; NFS wants writing.
func (l *lockFile) open() (files.File, error) {
	sys, path, done, err := l.folders.ofLock()
	if err != nil {
		return nil, err
	}
	defer done()
	const flags = unix.O_NONBLOCK | unix.O_NOCTTY // os adds O_CLOEXEC
	for {
		// Without O_CREATE, which some kernels refuse on another user's file
		// in a folder like /tmp (fs.protected_regular).
		file, err := sys.OpenFile(path, os.O_RDWR|flags, 0)
		if errors.Is(err, fs.ErrPermission) {
			file, err = sys.OpenFile(path, os.O_RDONLY|flags, 0)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return regular(file, err)
		}
		file, err = sys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|flags, 0o600)
		switch {
		case errors.Is(err, fs.ErrExist): // another program was faster
			continue
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("there is no directory %s: create it for the user that runs Tokenkeeper", filepath.Dir(l.folders.lock))
		case err != nil:
			return nil, fmt.Errorf("its lock can't be created: %w", err)
		}
		l.likeToken(file)
		return file, nil
	}
}

func regular(file files.File, err error) (files.File, error) {
	if err != nil {
		return nil, fmt.Errorf("its lock can't be opened: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("its lock %s is %s: move it away or set another one", file.Name(), files.Kind(info.Mode()))
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// likeToken gives a new lock file the token file's owner and mode, as far as
// we may: it holds nothing, and a program that can't open it says so.
func (l *lockFile) likeToken(lock files.File) {
	sys, done, err := l.folders.ofToken()
	if err != nil {
		return
	}
	defer done()
	info, err := sys.Lstat(l.folders.token)
	if err != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if lock.Chown(int(st.Uid), int(st.Gid)) != nil {
			_ = lock.Chown(-1, int(st.Gid))
		}
	}
	_ = lock.Chmod(info.Mode().Perm())
}
