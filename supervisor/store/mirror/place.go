package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// place is a directory that the store may be in.
type place struct {
	dir  string
	lock *os.File // nil: not ours yet
	// identity of the directory that is locked; nil: it never was ours.
	identity fs.FileInfo
	// former are directories that were moved away from here. They stay locked,
	// so that nobody starts on an old copy of the store while this one lives.
	former []*os.File
	// alike: the file system there does not tell one file from another.
	alike bool
	// syncDir is the function, but in a test.
	syncDir func(dir string) error
}

// FileName is the one file in the state directory.
const FileName = "tokenkeeper.db"

func (p *place) file() string      { return filepath.Join(p.dir, FileName) }
func (p *place) backupDir() string { return filepath.Join(p.dir, "backup") }

// claim makes the directory, if need be, and locks it. One that is not where
// it was any more is let go.
func (p *place) claim(timeout time.Duration) (err error) {
	if p.lock != nil {
		if p.stands() == nil {
			return nil
		}
		p.letGo()
	}
	if p.identity == nil {
		err = prepareDir(p.dir)
	} else {
		err = remakeDir(p.dir)
	}
	if err != nil {
		return err
	}
	if p.lock = p.takeBack(); p.lock == nil {
		if p.lock, err = lockDir(p.dir, unix.LOCK_EX, timeout); err != nil {
			return err
		}
	}
	p.alike = false
	p.identity, err = p.lock.Stat()
	return err
}

// stands returns nil while the path leads to the directory that is locked.
func (p *place) stands() error {
	_, err := p.whereIs(p.dir, p.identity, dirRemoved, dirReplaced)
	return err
}

// letGo gives up a directory that is not at its path any more.
func (p *place) letGo() {
	var st unix.Stat_t
	if err := unix.Fstat(int(p.lock.Fd()), &st); err == nil && st.Nlink == 0 {
		_ = p.lock.Close() // it is nowhere any more
	} else {
		p.former = append(p.former, p.lock)
	}
	p.lock = nil
}

// takeBack returns the lock of a directory that has come back; nil: none has.
func (p *place) takeBack() *os.File {
	info, _ := os.Stat(p.dir) // nothing is the same as what can't be looked at
	for n, f := range p.former {
		if one, _ := f.Stat(); os.SameFile(one, info) {
			p.former = slices.Delete(p.former, n, n+1)
			return f
		}
	}
	return nil
}

func (p *place) release() {
	for _, f := range append(p.former, p.lock) {
		if f != nil {
			_ = f.Close()
		}
	}
	p.lock, p.former = nil, nil
}

// errUnsure: the fresh file is in its place, and a power loss may bring back the one that
// was there.
var errUnsure = errors.New("which of two files has the name of the state file is not durable")

// nextSuffix is of a fresh file that is not in its place yet.
const nextSuffix = ".new"

// replace writes f into a new file, puts it in the place of the one that is
// there, and returns it open. The old file is kept under the name aside; "": it is not.
// The new one has never failed an fsync: it is another inode, with pages of its
// own. After errUnsure neither is to be written to: another try puts a third in their
// place.
func (p *place) replace(f journal.Fresh, aside string, o Options) (_ *journal.File, err error) {
	if err := p.claim(o.Timeout); err != nil {
		return nil, err
	}
	next := p.file() + nextSuffix
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("clearing the place of a fresh state file: %w", err)
	}
	j, err := journal.Create(next, f)
	if err != nil {
		_ = os.Remove(next) // gives the room back on a full disk
		return nil, fmt.Errorf("the fresh state file %s can't be written: %w", next, err)
	}
	defer func() {
		if err != nil {
			j.Drop()
			_ = os.Remove(next) // if it is in its place, there is none of that name
		}
	}()
	if err := journal.Verify(next, j.Last()); err != nil {
		return nil, fmt.Errorf("the fresh state file: %w", err)
	}
	if err := p.swap(next, aside); err != nil {
		return nil, err
	}
	if err := p.syncDir(p.dir); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsure, err)
	}
	return j, nil
}

// swap puts the file next in the state file's place, which is never empty
// meanwhile: the old file gets the second name aside before. Where links can't
// be made it is renamed, and is found there if the machine dies in between.
func (p *place) swap(next, aside string) error {
	undo := func() error { return nil }
	if _, err := os.Lstat(p.file()); err == nil && aside != "" {
		if err := os.Link(p.file(), aside); err == nil {
			undo = func() error { return os.Remove(aside) }
		} else if err := os.Rename(p.file(), aside); err == nil {
			undo = func() error { return os.Rename(aside, p.file()) }
		} else {
			return fmt.Errorf("keeping the old state file: %w", err)
		}
		if err := syncDir(p.dir); err != nil {
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

// tidy removes what an interrupted replacement left, and all but the newest of
// the files in which a write failed. All that was ever durable in those is in
// the state file as well.
func (p *place) tidy() {
	const keep = 5
	_ = os.Remove(p.file() + nextSuffix)
	for _, wrong := range []string{wrongFailed, wrongOlder} {
		paths, _ := filepath.Glob(p.file() + "." + wrong + "-*")
		for _, path := range paths[:max(0, len(paths)-keep)] {
			_ = os.Remove(path)
		}
	}
}
