package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// place is one directory of slots. The spool's lock guards it.
type place struct {
	sys files.System
	dir string
	// above is how many directories above dir are of our making.
	above int
	lock  files.File // nil: it is not ours, and nothing is made in it
	// id names the directory; "": it has none.
	id string
	// closed: it is not claimed any more.
	closed bool
	free   []*Slot
	next   int // number of the next slot file
	index  index
	// anchored: the directory, the slots' files and the index are durably where they are.
	anchored bool
}

// claim makes the directory, if need be, and locks it. It waits for another
// process that has it, as long as ctx lets it.
func (p *place) claim(ctx context.Context) error {
	if p.lock != nil {
		return nil
	}
	if p.closed {
		return fmt.Errorf("%s: %w", p.dir, fs.ErrClosed)
	}
	if err := files.MakeDir(p.sys, p.dir, 0o700); err != nil {
		return fmt.Errorf("create the spool directory: %w", err)
	}
	lock, err := lockDir(ctx, p.sys, p.dir)
	if err == nil {
		p.lock = lock
		p.identify()
	}
	return err
}

// nobodyIsWaitedFor is for a claim in the middle of work.
func nobodyIsWaitedFor() context.Context {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return over
}

// create makes the file of a new slot, whose name is not durable yet.
func (p *place) create() (path string, f files.File, err error) {
	// The fallback is made when it is needed, and a directory that could not
	// be had at the start may have healed.
	if err := p.hold(); err != nil {
		return "", nil, err
	}
	for range mostNames {
		path = filepath.Join(p.dir, fmt.Sprintf(slotName, p.next))
		p.next++ // also after a failure: what can't be removed must not be in the way
		if f, err = createFile(p.sys, path); !errors.Is(err, fs.ErrExist) {
			break // taken only in a directory that was put in the place of ours
		}
	}
	if err == nil {
		p.index.add(path)
	}
	return path, f, err
}

// mostNames bounds the search for a name that is not taken.
const mostNames = 1000

// grow adds a free slot.
func (p *place) grow(home *Spool) error {
	path, f, err := p.create()
	if err != nil {
		return err
	}
	p.anchored = false
	p.free = append(p.free, &Slot{home: home, place: p, path: path, file: f})
	return nil
}

// anchor makes it durable that the slots' files are there, the directory, and
// the one above it, in which every provider has its own: an answer is worth
// nothing in a file that has no name. It is done before a slot is taken, also
// for what was found at the start, because whoever made it may have died before
// it came so far.
func (p *place) anchor() error {
	if p.anchored {
		return nil
	}
	dir := p.dir
	for range p.above + 1 {
		err := p.sys.SyncDir(dir)
		// A directory that we may not read is not of our making.
		if err != nil && !(dir != p.dir && errors.Is(err, fs.ErrPermission)) {
			return err
		}
		dir = filepath.Dir(dir)
	}
	p.anchored = true
	return nil
}

// take writes the header into a free slot. One that can't be written is
// discarded, so that it is in nobody's way, and the next one is tried.
func (p *place) take(home *Spool, h header) (*Slot, error) {
	fresh := false
	for {
		if len(p.free) == 0 {
			if err := p.grow(home); err != nil {
				return nil, err
			}
			fresh = true
		}
		noted := p.note()
		if err := p.anchor(); err != nil {
			return nil, err
		}
		slot := p.free[len(p.free)-1]
		p.free = p.free[:len(p.free)-1]
		err := noted
		if noted == nil || p.index.has(slot.path) { // otherwise its removal would not be seen
			err = slot.put(h)
		}
		if err == nil {
			return slot, nil
		}
		slot.discard()
		if fresh {
			return nil, err
		}
	}
}

// fresh makes a file, durably named, for an answer whose own file failed.
func (p *place) fresh() (path string, f files.File, err error) {
	if path, f, err = p.create(); err != nil {
		return "", nil, err
	}
	if p.anchored { // the index can wait: until it follows, the next process misses the file that failed
		err = p.sys.SyncDir(p.dir)
	} else {
		err = p.anchor()
	}
	if err != nil {
		p.index.drop(path)
		return "", nil, errors.Join(err, f.Close(), p.sys.Remove(path))
	}
	return path, f, nil
}

func (p *place) close() error {
	for _, slot := range p.free {
		_ = slot.file.Close()
	}
	p.free, p.closed = nil, true
	if p.lock == nil {
		return nil
	}
	err := p.lock.Close()
	p.lock = nil
	return err
}
