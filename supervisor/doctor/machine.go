package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// What the state directory may be left with. The store is written anew as a whole at
// times, has a week of backups beside it, and each attempt a few KiB of the spool.
const (
	mib = 1 << 20
	// littleBytes and fewInodes are a warning, noBytes and noInodes a fault.
	littleBytes, noBytes = 200 * mib, 16 * mib
	fewInodes, noInodes  = 1000, 50
)

// disk looks at what is left for what has to be durable.
func (w World) disk(s Setup) (found []Finding, err error) {
	for _, dir := range []string{s.StateDir, s.FallbackDir} {
		if dir == "" {
			continue
		}
		r, wrong := w.Room(dir)
		if wrong != nil {
			if !errors.Is(wrong, fs.ErrNotExist) { // that is told by what was checked
				err = errors.Join(err, fmt.Errorf("the disk: %w", wrong))
			}
			continue
		}
		f := Finding{Severity: Warning, Remedy: "make room on it: no refresh token is spent that could not be stored"}
		if r.Bytes < noBytes || r.Inodes >= 0 && r.Inodes < noInodes {
			f.Severity = Fault
		}
		switch {
		case r.Bytes < littleBytes:
			f.Message = fmt.Sprintf("the file system of %s has %d MiB left", dir, r.Bytes/mib)
		case r.Inodes >= 0 && r.Inodes < fewInodes:
			f.Message = fmt.Sprintf("the file system of %s has room for %d more files (inodes)", dir, r.Inodes)
		default:
			continue
		}
		found = append(found, f)
	}
	return found, err
}

// kernel tells what it does not do that the code asks of it.
func (w World) kernel() (found []Finding) {
	for _, f := range w.Features() {
		if f.Err != nil {
			found = append(found, Finding{Severity: Warning, Message: fmt.Sprintf("%s can't be used (%v): %s", f.Name, f.Err, f.For),
				Remedy: "look at the kernel (5.3 or newer), a container's seccomp rules, and its limits (ulimit -a)"})
		}
	}
	return found
}

// Lock is that of an account's shared file.
type Lock struct{ Account, Path string }

// heldFor is for how long a lock is held by somebody who is told: longer than the write of
// a file takes.
const heldFor = 2 * time.Second

// locks tells who holds the lock of a shared file. It takes none, not for a moment: a bot
// that tries it just then would fail.
func (w World) locks(ctx context.Context, s Setup) (found []Finding) {
	held := map[Lock]lockholder.Holders{}
	for _, l := range s.Locks {
		if h := w.Holders(l.Path); len(h.Holding) > 0 && !isSupervisor(h, s.Status) {
			held[l] = h
		}
	}
	if len(held) == 0 {
		return nil
	}
	select {
	case <-time.After(heldFor):
	case <-ctx.Done():
		return nil
	}
	for _, l := range s.Locks {
		before, was := held[l]
		h := w.Holders(l.Path)
		if !was || h.First() != before.First() {
			continue
		}
		found = append(found, Finding{Severity: Warning,
			Message: fmt.Sprintf("the lock %s of account %s has been held for %s at least by %s: meanwhile no program refreshes the token", l.Path, l.Account, heldFor, h), Remedy: h.Release()})
	}
	return found
}

// isSupervisor says whether the holder is the supervisor that runs, in a refresh.
func isSupervisor(h lockholder.Holders, s *control.Status) bool {
	if s == nil {
		return false
	}
	for _, p := range h.Holding {
		if p.PID == s.PID {
			return true
		}
	}
	return false
}
