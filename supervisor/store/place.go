package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// place is a directory that the store may be in.
type place struct {
	dir  string
	lock *os.File // nil: not ours yet
}

func (p *place) file() string    { return filepath.Join(p.dir, FileName) }
func (p *place) backups() string { return filepath.Join(p.dir, "backup") }

// claim makes the directory, if need be, and locks it.
func (p *place) claim(timeout time.Duration) error {
	if p.lock != nil {
		return nil
	}
	if err := prepareDir(p.dir); err != nil {
		return err
	}
	lock, err := lockDir(p.dir, timeout)
	p.lock = lock
	return err
}

func (p *place) release() {
	if p.lock != nil {
		_ = p.lock.Close()
		p.lock = nil
	}
}

// fresh is what a new file is to hold.
type fresh struct {
	values map[string][]byte
	total  total
	format string
}

// nextSuffix is of a fresh file that is not in its place yet.
const nextSuffix = ".new"

// replace writes f into a new file, puts it in the place of the one that is
// there, and returns it open. The old file is kept under the name aside. The
// new one has never failed an fsync: it is another inode, with pages of its
// own.
func (p *place) replace(f fresh, aside string, o Options) (_ *boltBackend, err error) {
	if err := p.claim(o.Timeout); err != nil {
		return nil, err
	}
	next := p.file() + nextSuffix
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("clearing the place of a fresh state file: %w", err)
	}
	b := &boltBackend{}
	placed := false
	defer func() {
		if err != nil {
			_ = guard(b.close)
			if !placed {
				_ = os.Remove(next) // gives the room back on a full disk
			}
		}
	}()
	if err := guard(func() error { return b.open(next, o.Timeout) }); err != nil {
		return nil, fmt.Errorf("the fresh state file %s can't be made: %w", next, err)
	}
	if err := guard(func() error { return b.fill(f) }); err != nil {
		return nil, fmt.Errorf("the fresh state file %s can't be written: %w", next, err)
	}
	written, err := readSource(next)
	if err != nil {
		return nil, err
	}
	if written.err != nil || written.total != f.total {
		return nil, fmt.Errorf("the fresh state file %s reads back other than it was written (%w)", next, errors.Join(ErrDamaged, written.err))
	}
	if err := p.swap(next, aside); err != nil {
		return nil, err
	}
	placed = true
	return b, syncDir(p.dir)
}

// swap puts the file next in the state file's place, which is never empty
// meanwhile: the old file gets the second name aside before. Where links can't
// be made it is renamed, and is found there if the machine dies in between.
func (p *place) swap(next, aside string) error {
	undo := func() error { return nil }
	if _, err := os.Lstat(p.file()); err == nil {
		if err := os.MkdirAll(filepath.Dir(aside), 0o700); err != nil {
			return fmt.Errorf("keeping the old state file: %w", err)
		}
		if err := os.Link(p.file(), aside); err == nil {
			undo = func() error { return os.Remove(aside) }
		} else if err := os.Rename(p.file(), aside); err == nil {
			undo = func() error { return os.Rename(aside, p.file()) }
		} else {
			return fmt.Errorf("keeping the old state file: %w", err)
		}
		if err := syncDir(filepath.Dir(aside)); err != nil {
			return errors.Join(err, undo())
		}
	}
	if err := os.Rename(next, p.file()); err != nil {
		return errors.Join(fmt.Errorf("putting the fresh state file in its place: %w", err), undo())
	}
	return nil
}

// stampLayout makes names that sort by time.
const stampLayout = "20060102T150405.000000Z"

// asideName is a name that is not taken yet for a state file with a fault.
func (p *place) asideName(fault string, now time.Time) string {
	return freeName(p.file()+"."+fault+"-"+now.UTC().Format(stampLayout), "")
}

// freeName adds a number to a name that is taken.
func freeName(base, suffix string) string {
	path := base + suffix
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = fmt.Sprintf("%s-%d%s", base, n, suffix)
	}
}
