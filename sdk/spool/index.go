package spool

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// indexName is the file in which a place keeps which slots it has: its id, and then each
// slot's file, on a line of its own. One that is named there and is gone was removed by
// somebody, and may have told of an attempt. A file that is not named there is a slot all
// the same; where there is no index, or one of another id, nothing is known of that.
const indexName = "index"

// longestIndex is more than any place has slots for.
const longestIndex = 1 << 20

// index is which slots' files a place has, by name. The spool's lock guards it.
type index struct {
	names map[string]bool
	kept  map[string]bool // what the file names; nil: it says nothing
	stale bool            // the file says otherwise
}

// add notes a file, and drop that it is none any more. The file of the index follows with
// the next [place.note].
func (x *index) add(path string) {
	if x.names == nil {
		x.names = map[string]bool{}
	}
	x.names[filepath.Base(path)], x.stale = true, true
}

func (x *index) drop(path string) {
	delete(x.names, filepath.Base(path))
	x.stale = true
}

// has says whether the next process will miss a file that is removed. Where there is no
// index, as before there were any, it knows of none.
func (x *index) has(path string) bool { return x.kept == nil || x.kept[filepath.Base(path)] }

// lacks says whether a file that the index of the place names is not among those that there
// are.
func (p *place) lacks(entries []fs.DirEntry) bool {
	p.index.kept = p.readIndex()
	there := 0
	for _, e := range entries {
		if p.index.kept[e.Name()] {
			there++
		}
	}
	return there < len(p.index.kept)
}

// readIndex is what the file names; nil: it can't be read, is not whole or is of another id.
func (p *place) readIndex() map[string]bool {
	f, err := p.sys.OpenFile(filepath.Join(p.dir, indexName), os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, longestIndex))
	_ = f.Close()
	text, whole := strings.CutSuffix(string(b), "\n")
	lines := strings.Split(text, "\n")
	if err != nil || !whole || p.id == "" || lines[0] != p.id {
		return nil
	}
	names := map[string]bool{}
	for _, name := range lines[1:] {
		names[name] = true
	}
	return names
}

// note brings the file of the index up to date. It is durable with the next
// [place.anchor].
func (p *place) note() error {
	if !p.index.stale || p.lock == nil || p.id == "" {
		return nil
	}
	lines := append([]string{p.id}, slices.Sorted(maps.Keys(p.index.names))...)
	if err := writeSmall(p.sys, filepath.Join(p.dir, indexName), strings.Join(lines, "\n")+"\n"); err != nil {
		return err
	}
	p.index.kept, p.index.stale, p.anchored = maps.Clone(p.index.names), false, false
	return nil
}

// noteOrShed is note; where that fails, no free slot stays of which the file says nothing.
func (p *place) noteOrShed() {
	if p.note() == nil {
		return
	}
	p.free = slices.DeleteFunc(p.free, func(slot *Slot) bool {
		if p.index.has(slot.path) {
			return false
		}
		slot.discard()
		return true
	})
}

// removed is forgets for a caller without the spool's lock.
func (s *Spool) removed(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgets(path)
}

// forgets is for the file of a slot that was removed, whichever place it was in.
func (s *Spool) forgets(path string) {
	for _, p := range s.places {
		if path != "" && filepath.Clean(p.dir) == filepath.Dir(path) {
			p.index.drop(path)
		}
	}
}

// noteAll brings the index of each place up to date.
func (s *Spool) noteAll() {
	for _, p := range s.places {
		p.noteOrShed()
	}
}
