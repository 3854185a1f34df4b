package filestest

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Survival is what a loss of power leaves of what was not synced.
type Survival struct {
	// Names: which changes of names. File systems keep their order, so that
	// LastHalf and EveryOther don't happen.
	Names Part
	// Data: which sectors that were written, of each file.
	Data Part
}

// Part of a sequence.
type Part string

// Parts.
const (
	None       Part = "none"
	FirstHalf  Part = "first half"
	LastHalf   Part = "last half"
	EveryOther Part = "every other"
	All        Part = "all"
)

func (p Part) has(i, n int) bool {
	switch p {
	case None:
		return false
	case FirstHalf:
		return i < n/2
	case LastHalf:
		return i >= n/2
	case EveryOther:
		return i%2 == 1
	default:
		return true
	}
}

// Survivals is every combination.
func Survivals() []Survival {
	var all []Survival
	for _, names := range []Part{None, FirstHalf, All} {
		for _, data := range []Part{None, FirstHalf, LastHalf, EveryOther, All} {
			all = append(all, Survival{names, data})
		}
	}
	return all
}

// Killed is what the death of a process leaves: everything.
func Killed() Survival { return Survival{All, All} }

// sector is what a disk writes as a whole.
const sector = 512

// Scratch makes a directory, in memory if the machine has a place there: the
// model decides what is durable, and not the real disk. The caller removes it,
// because tests need thousands.
func Scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tokenkeeper-")
	if err != nil {
		dir, err = os.MkdirTemp("", "tokenkeeper-")
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Image shows inspect a directory that holds what has survived. It is removed
// when inspect returns.
func (d *Disk) Image(t testing.TB, s Survival, inspect func(dir string)) {
	t.Helper()
	root := Scratch(t)
	defer func() { _ = os.RemoveAll(root) }()
	if err := d.write(root, s); err != nil {
		t.Fatal(err)
	}
	inspect(root)
}

func (d *Disk) write(root string, s Survival) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.kept)
	for i, c := range d.changes {
		if s.Names.has(i, len(d.changes)) {
			c.apply(names)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(names)) { // directories before what is in them
		n := names[path]
		to := root + strings.TrimPrefix(path, d.root)
		if _, err := os.Stat(filepath.Dir(to)); err != nil {
			continue // its directory has not survived
		}
		mode := n.keptMode
		if s.Data == All {
			mode = n.mode
		}
		var err error
		if n.dir {
			err = os.Mkdir(to, mode)
		} else if err = writeSparse(to, n.after(s.Data)); err == nil && mode != 0o600 {
			err = os.Chmod(to, mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// after is the content of which that part of what was not synced survived.
func (n *node) after(p Part) []byte {
	var sectors []write
	for _, w := range n.writes {
		for len(w.data) > 0 {
			size := min(len(w.data), sector-int(w.at%sector))
			sectors = append(sectors, write{w.at, w.data[:size]})
			w = write{w.at + int64(size), w.data[size:]}
		}
	}
	content := slices.Clone(n.kept)
	for i, w := range sectors {
		if p.has(i, len(sectors)) {
			content = w.put(content)
		}
	}
	return content
}

// writeSparse leaves out blocks of zeros, of which preallocated files are full.
func writeSparse(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const block = 4096
	zero := make([]byte, block)
	for at := 0; at < len(content); at += block {
		b := content[at:min(at+block, len(content))]
		if bytes.Equal(b, zero[:len(b)]) {
			continue
		}
		if _, err := f.WriteAt(b, int64(at)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(content)))
}
