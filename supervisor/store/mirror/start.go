package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// This file holds how a mirror begins, which its owner decides by what stands in the
// files.

// Live reads the state file of every place, the one in the state directory first. Close
// what it returns.
func (m *Mirror) Live() (live []*journal.Image, err error) {
	for n, p := range m.places {
		img, err := p.read()
		switch {
		case err != nil && n > 0:
			m.tell(Trouble{What: "the fallback directory can't be used", Path: p.dir, Err: err})
			continue
		case err != nil:
			return nil, err
		}
		if live = append(live, img); errors.Is(img.Err, journal.ErrNewerFormat) {
			for _, one := range live {
				one.Close()
			}
			return nil, fmt.Errorf("state file %s: %w", img.Path, img.Err)
		}
	}
	return live, nil
}

// read reads the state file, which must be for us alone.
func (p *place) read() (*journal.Image, error) {
	path := p.file()
	if info, err := os.Stat(path); err == nil { // what is wrong otherwise is said below
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("the state file %s is not a regular file", path)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return nil, fmt.Errorf("the state file %s is open to others (mode %04o), and it holds refresh tokens: chmod 600 %s", path, mode, path)
		}
	}
	return journal.Read(path)
}

// Peek reads the state file in a directory without changing anything. While a supervisor
// has the directory nothing can be said about it: ErrInUse. Close what it returns.
func Peek(dir string) (*journal.Image, error) {
	// Shared: two who look do not disturb each other. It is held for as long as
	// the file is read, which is less than a supervisor that starts waits.
	lock, err := lockDir(dir, unix.LOCK_SH, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return journal.ReadBytes(nil), nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	return (&place{dir: dir}).read()
}

// Remains are the files beside the state files that may hold a part of the store: backups,
// and what was put aside, but for what was found in the place of a state file, which is
// somebody else's. Used says whether any of them shows that there was a store here.
func (m *Mirror) Remains() (paths []string, used bool) {
	for _, p := range m.places {
		beside, _ := filepath.Glob(p.file() + ".*")
		backups, _ := filepath.Glob(filepath.Join(p.backupDir(), "*"))
		for _, path := range append(beside, backups...) {
			foreign := strings.HasPrefix(filepath.Base(path), FileName+"."+wrongFound+"-")
			if info, err := os.Stat(path); !foreign && err == nil && info.IsDir() {
				continue // a file system has some of its own at its top
			}
			used = used || foreign || !strings.HasSuffix(path, nextSuffix)
			if !foreign {
				paths = append(paths, path)
			}
		}
	}
	return paths, used
}

// Adopt goes on with the state s, which is what a good file holds: in that very file, or
// in a fresh one if it is not in its place or part of it is damaged. Where there is no room
// for that, it is put right where it is.
func (m *Mirror) Adopt(s State, img *journal.Image) error {
	m.state, m.last, m.tried = s, img.Position, img.Sequence
	m.format, _ = journal.CheckFormat(img.Format)
	switch {
	case img.Path != m.places[0].file():
		_, err := m.renew(nil, wrongOlder, nil)
		return err
	case img.Worn:
		m.options.Log.Warn("a part of the state file is damaged, all of which stands in it a second time; a fresh one takes its place", "path", img.Path)
		if _, err := m.renew(nil, "damaged", nil); err == nil || !stillThere(img) {
			return err
		}
		return m.goOn(img) // there is no room for another, and needs to be none
	}
	m.backupAtOpen(img)
	return m.goOn(img)
}

// stillThere says whether what was read is what stands there. A fresh file does if the
// directory could not be synced in the end: what was read has no place in that.
func stillThere(img *journal.Image) bool {
	now, err := journal.Check(img.Path)
	if err != nil {
		return false
	}
	defer now.Close()
	return now.Position == img.Position
}

// goOn goes on in the file that is there.
func (m *upkeep) goOn(img *journal.Image) (err error) {
	if m.file, err = journal.Open(img.Path, img); err != nil {
		return m.recover(nil, Trouble{What: "the state file can't be written", Path: img.Path, Err: err})
	}
	if m.fault.is() != nil {
		m.fault.set(nil)
		m.tell(Trouble{What: "the store is durable again, in the file that was there; what was damaged in it is put right", Path: img.Path, Recovered: true})
	}
	m.at.tidy()
	return nil
}

// Begin writes the state s, which is empty, into a file where there is none.
func (m *Mirror) Begin(s State) error {
	m.state = s
	_, err := m.renew(nil, "empty", nil)
	return err
}

// Restore writes the state s, which was put together from what was left, into a fresh
// file. No file goes above the transaction tried, and the base, which may be nil, is of
// the format that is kept. What was in the state directory is kept now.
func (m *Mirror) Restore(s State, tried uint64, base *journal.Image) (kept string, err error) {
	m.state, m.tried = s, tried
	if base != nil {
		m.format, _ = journal.CheckFormat(base.Format)
	}
	if kept, err = m.renew(nil, "damaged", nil); m.at != m.places[0] {
		kept = "" // that was in the fallback directory
	}
	return kept, err
}

// Retire takes a state file away from the fallback directory that is older than
// the one in use.
func (m *Mirror) Retire(live []*journal.Image) {
	if len(live) < 2 || live[1].Empty || m.file == nil || m.at == m.places[1] {
		return
	}
	p, what := m.places[1], wrongOlder
	if live[1].Err != nil {
		what = "damaged"
	}
	err := p.claim(m.options.Timeout)
	if err == nil {
		err = os.Rename(p.file(), p.asideName(what, m.options.Now()))
	}
	p.release()
	if err != nil {
		m.options.Log.Warn("an older state file stays in the fallback directory", "path", p.file(), "error", err)
	}
}
