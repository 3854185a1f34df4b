package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// ErrAnotherSpool: the attempt was announced for a spool that is not this one.
// Nothing was sent, and nothing may be sent before it is announced anew.
var ErrAnotherSpool = errors.New("the attempt was announced for another spool")

// Contents is what stands in a spool.
type Contents struct {
	// ID names the spool: two equal ids are the very same spool, with every
	// place that it has; "": nobody can know. From the same id, and from
	// nothing else, follows that an attempt which is not among the entries was
	// never begun, as long as the machine was not started anew.
	ID      string
	Entries []Entry
}

// Contents returns what stands in the spool.
func (s *Spool) Contents() Contents { return Contents{ID: s.ID(), Entries: s.Unsettled()} }

// ID is that of [Contents]. It changes when a place is lost, made anew, or
// taken into use.
func (s *Spool) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id()
}

func (s *Spool) id() string {
	var ids []string
	for _, p := range s.places {
		switch {
		case p.lock == nil: // no attempt begins there
		case p.id == "":
			return ""
		default:
			ids = append(ids, p.id)
		}
	}
	return strings.Join(ids, "+")
}

// idName is the file in which a place keeps its id, beside a mark of the
// directory that it was made for. A copy of the directory has the same file and
// another mark, and gets an id of its own.
const idName = "id"

// identify reads the place's id, or makes one. Where neither can be done it
// has none. The place is locked.
func (p *place) identify() {
	p.id = ""
	mark, err := directoryMark(p.dir)
	if err != nil {
		return
	}
	if b, err := readSmall(p.sys, filepath.Join(p.dir, idName)); err == nil {
		if id, of, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), " "); ok && len(id) == len(rand.Text()) && of == mark {
			p.id = id
			return
		}
	}
	p.rename()
}

// rename gives the place an id that it never had. If that can't be done it has
// none.
func (p *place) rename() {
	p.id = ""
	mark, err := directoryMark(p.dir)
	if err != nil || p.lock == nil {
		return
	}
	id := rand.Text()
	path := filepath.Join(p.dir, idName)
	p.index.kept, p.index.stale = nil, true // it is of the id before
	if writeSmall(p.sys, path, id+" "+mark+"\n") == nil {
		p.id, p.anchored = id, false
	} else if info, err := p.sys.Lstat(path); err == nil && info.Mode().IsRegular() {
		_ = p.sys.Remove(path) // where the disk is full, the old one must not be found again
	}
}

// directoryMark is what a copy of a directory can't have in common with it: its
// number in the file system and, where that is kept, the moment it was made.
func directoryMark(dir string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", &fs.PathError{Op: "statx", Path: dir, Err: err}
	}
	mark := fmt.Sprint(st.Ino)
	if st.Mask&unix.STATX_BTIME != 0 {
		mark += fmt.Sprintf("-%d.%09d", st.Btime.Sec, st.Btime.Nsec)
	}
	return mark, nil
}

func readSmall(sys files.System, path string) ([]byte, error) {
	f, err := sys.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 256))
	return b, errors.Join(err, f.Close())
}

// writeSmall puts a file in its place as a whole.
func writeSmall(sys files.System, path, content string) error {
	next := path + ".new"
	if err := sys.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := sys.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, sys.Remove(next))
	}
	return sys.Rename(next, path)
}

// hold makes sure that the place is locked and still where its path leads: a
// directory that was removed, or replaced, takes no answer that anybody would
// find. Nobody is waited for.
func (p *place) hold() error {
	if p.lock != nil && gone(p.sys, filepath.Join(p.dir, lockName), p.lock) {
		_ = p.lock.Close()
		p.lock, p.id, p.anchored = nil, "", false
		kept := p.free[:0]
		for _, slot := range p.free {
			if slot.lost() {
				_ = slot.file.Close()
			} else {
				kept = append(kept, slot)
			}
		}
		p.free = kept
		p.index.kept, p.index.stale = nil, true
		for name := range p.index.names {
			if _, err := p.sys.Lstat(filepath.Join(p.dir, name)); err != nil {
				p.index.drop(name)
			}
		}
	}
	return p.claim(nobodyIsWaitedFor())
}

// gone says whether path leads no more to the open file f. What can't be known
// does not count.
func gone(sys files.System, path string, f files.File) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := sys.Lstat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	}
	return !os.SameFile(open, named)
}
