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
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// HeldError is the error of [File.Lock] when another program holds the lock
// for too long.
type HeldError struct {
	// Path of the lock file.
	Path string
	// By is who holds it.
	By lockholder.Holders
	// Since is when the first of them was first found holding the lock; it was
	// found so each time since. Age is how long ago that was.
	Since time.Time
	Age   time.Duration
}

// Error says who holds the lock and what to do. It is read hours later, too.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s has been locked since %s by %s: %s; it is never taken by force",
		e.Path, e.Since.UTC().Format("2006-01-02 15:04:05 UTC"), e.By, e.By.Release())
}

// HeldFor is how long the lock has been seen to be held.
func (e *HeldError) HeldFor() time.Duration { return e.Age }

// Lock takes the lock that all programs share, and waits for it as long as
// Config.Patience says. Release gives it back; more than one call is harmless.
// A process that dies gives back what it holds.
//
// A lock file that is missing is created, with the owner and mode of the token
// file, so that whoever may open the one may lock the other; without a token
// file, with mode 0600. It is never removed, and nobody's lock is taken away:
// the error is then a [*HeldError].
func (f *File) Lock(ctx context.Context) (release func() error, err error) {
	if err := f.Trusted(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(f.cfg.Patience)
	var file files.File
	defer func() {
		if err != nil && file != nil {
			_ = file.Close()
		}
	}()
	for {
		if kept := f.resume(); kept != nil {
			if file != nil {
				_ = file.Close()
			}
			f.forget()
			f.noteCarrier(kept)
			return f.unlocker(kept), nil
		}
		if file == nil {
			if file, err = f.openLock(); err != nil {
				return nil, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
			}
		}
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("shared file %s: lock %s: %w", f.cfg.Path, f.cfg.Lock, err)
		}
		// A program that removes the file or replaces it has left us with one
		// that keeps nobody out.
		if !f.isLock(file) {
			_ = file.Close()
			file = nil
		} else if err == nil {
			f.Forgo() // that was the lock of a file that is not there any more
			f.forget()
			f.noteCarrier(file)
			return f.unlocker(file), nil
		}
		if !time.Now().Before(deadline) {
			return nil, fmt.Errorf("shared file %s: %w", f.cfg.Path, f.look(0))
		}
		f.look(lookEvery)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("shared file %s: waiting for its lock: %w", f.cfg.Path, context.Cause(ctx))
		case <-time.After(min(poll, time.Until(deadline))):
		}
	}
}

// noteCarrier notes what carries our lock.
func (f *File) noteCarrier(lock carrier) {
	f.mu.Lock()
	f.lock = lock
	f.mu.Unlock()
}

// letsGo says whether it is this that carries our lock; then nothing does any more.
func (f *File) letsGo(lock carrier) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ours := f.lock == lock
	if ours {
		f.lock = nil
	}
	return ours
}

// Lend gives the descriptor that carries the lock to a program that shall hold
// it also if we die, and to Config.Deposit, while its caller holds the lock. As
// long as we live, release makes it free, whoever has copies.
func (f *File) Lend(give func(fd int) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return fmt.Errorf("shared file %s: its lock is not held", f.cfg.Path)
	}
	var err error
	if f.cfg.Deposit != nil {
		err = f.cfg.Deposit.Put(int(f.lock.Fd()))
	}
	return errors.Join(err, give(int(f.lock.Fd())))
}

// unlocker gives the lock back, unless it is kept.
func (f *File) unlocker(lock carrier) func() error {
	return sync.OnceValue(func() error {
		f.drop()
		if !f.letsGo(lock) {
			return nil
		}
		return f.free(lock)
	})
}

// look finds out who holds the lock, unless somebody did so less than every
// ago: the answer can cost a walk through all processes.
func (f *File) look(every time.Duration) *HeldError {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.seen.at.IsZero() || now.Sub(f.seen.at) >= every {
		by := f.find(f.cfg.Lock)
		if f.seen.since.IsZero() || f.seen.by.First() != by.First() {
			f.seen.since = now
		}
		f.seen.by, f.seen.at = by, now
	}
	return &HeldError{Path: f.cfg.Lock, By: f.seen.by, Since: f.seen.since, Age: now.Sub(f.seen.since)}
}

// Held says who held the lock when it was last asked for and could not be had; nil:
// it could. It finds out nothing itself.
func (f *File) Held() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen.at.IsZero() {
		return nil
	}
	return &HeldError{Path: f.cfg.Lock, By: f.seen.by, Since: f.seen.since, Age: time.Since(f.seen.since)}
}

func (f *File) forget() {
	f.mu.Lock()
	f.seen = sighting{}
	f.mu.Unlock()
}

// isLock says whether file is still what the lock's path names.
func (f *File) isLock(file carrier) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := f.named()
	return err == nil && os.SameFile(ours, named)
}

// openLock opens the lock file, and creates it if it is missing. Reading is
// enough to lock a local file, so that a program with less rights than its
// owner can take part; NFS wants writing.
func (f *File) openLock() (files.File, error) {
	sys, path, done, err := f.lockFolder()
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
			return nil, fmt.Errorf("there is no directory %s: create it for the user that runs Tokenkeeper", filepath.Dir(f.cfg.Lock))
		case err != nil:
			return nil, fmt.Errorf("its lock can't be created: %w", err)
		}
		f.likeToken(file)
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
func (f *File) likeToken(lock files.File) {
	sys, done, err := f.folder()
	if err != nil {
		return
	}
	defer done()
	info, err := sys.Lstat(f.cfg.Path)
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
