package filestest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
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

// TempDir is a Scratch that goes with the test: for whatever syncs a lot and is not about
// what the disk keeps.
func TempDir(t testing.TB) string {
	t.Helper()
	dir := Scratch(t)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
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

// Fingerprint is the same for all that leaves the same: whoever has inspected
// one image need not inspect its equals.
func (d *Disk) Fingerprint(s Survival) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, f := range d.survivors(s) {
		fmt.Fprintf(&h, "%q %t %o %d\n", f.name, f.dir, f.mode, len(f.content))
		_, _ = h.Write(f.content)
	}
	return h.Sum64()
}

var seed = maphash.MakeSeed()

// survivor is a file or a directory as it is found after the loss of power.
type survivor struct {
	name    string // below the root
	dir     bool
	mode    fs.FileMode
	content []byte // not to be changed
}

// survivors come in order: directories before what is in them.
func (d *Disk) survivors(s Survival) []survivor {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.kept)
	for i, c := range d.changes {
		if s.Names.has(i, len(d.changes)) {
			c.apply(names)
		}
	}
	var left []survivor
	for _, path := range slices.Sorted(maps.Keys(names)) {
		n := names[path]
		if dir := names[filepath.Dir(path)]; filepath.Dir(path) != d.root && (dir == nil || !dir.dir) {
			delete(names, path) // its directory has not survived
			continue
		}
		f := survivor{name: strings.TrimPrefix(path, d.root), dir: n.dir, mode: n.keptMode}
		if s.Data == All {
			f.mode = n.mode
		}
		if !n.dir {
			f.content = n.after(s.Data)
		}
		left = append(left, f)
	}
	return left
}

func (d *Disk) write(root string, s Survival) error {
	for _, f := range d.survivors(s) {
		var err error
		if f.dir {
			err = os.Mkdir(root+f.name, f.mode)
		} else if err = writeSparse(root+f.name, f.content); err == nil && f.mode != 0o600 {
			err = os.Chmod(root+f.name, f.mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// after is the content of which that part of what was not synced survived. It
// is not to be changed.
func (n *node) after(p Part) []byte {
	if len(n.writes) == 0 {
		return n.kept
	}
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
