// Package filestest is a file system that fails and loses what was not synced.
// It works on a real directory, and knows besides what of it would survive a
// loss of power: the content and the mode of a file as of its last sync, the
// names in a directory as of the directory's, and of what came later any part.
package filestest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// ErrDown is the error of every operation after the loss of power.
var ErrDown = errors.New("the power is off")

// Disk implements [files.System] in one directory. It is safe for concurrent
// use.
type Disk struct {
	root string
	os   files.OS

	mu    sync.Mutex
	log   []string
	fault fault
	down  bool
	// seen are the names as processes see them, kept those that are durable,
	// and changes what leads from these to those, in order.
	seen, kept map[string]*node
	changes    []change
}

// fault is what goes wrong.
type fault struct {
	at      int   // the operation, counted from 1; 0: none
	err     error // nil: the power goes off before it
	forever bool  // every later operation fails too
}

// change is one change of names in a directory. It happens as a whole or not.
type change struct {
	dir  string
	gone string // "": none
	name string // "": none
	node *node
}

func (c change) apply(names map[string]*node) {
	delete(names, c.gone)
	if c.name != "" {
		names[c.name] = c.node
	}
}

// New returns the disk on an existing directory, in which everything is
// durable.
func New(t testing.TB, root string) *Disk {
	t.Helper()
	d := &Disk{root: root, seen: map[string]*node{}, kept: map[string]*node{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		n := &node{dir: e.IsDir(), mode: info.Mode().Perm(), keptMode: info.Mode().Perm()}
		if e.Type().IsRegular() {
			if n.kept, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		d.seen[path], d.kept[path] = n, n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Fail lets operation at, counted from 1, fail with err; forever lets all that
// follow fail too. A write that fails writes its first half. After a sync that
// fails, what should have been synced is seen, but never becomes durable.
func (d *Disk) Fail(at int, err error, forever bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault{at, err, forever}
}

// Crash turns the power off before operation at.
func (d *Disk) Crash(at int) { d.Fail(at, nil, false) }

// Heal ends all that goes wrong, but for a crash that has been.
func (d *Disk) Heal() { d.Fail(0, nil, false) }

// Down says whether the power is off.
func (d *Disk) Down() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.down
}

// Log lists the operations so far, and which of them failed.
func (d *Disk) Log() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.log...)
}

// step counts an operation and decides whether it fails. d.mu is held.
func (d *Disk) step(op, path string) error {
	if d.down {
		return ErrDown
	}
	n := len(d.log) + 1
	entry := op + " " + filepath.Base(path)
	defer func() { d.log = append(d.log, entry) }()
	if f := d.fault; f.at == 0 || n < f.at || n > f.at && !f.forever {
		return nil
	}
	if d.fault.err == nil {
		d.down = true
		entry += ": the power goes off"
		return ErrDown
	}
	entry += ": " + d.fault.err.Error()
	return &fs.PathError{Op: op, Path: path, Err: d.fault.err}
}

// OpenFile implements [files.System].
func (d *Disk) OpenFile(path string, flag int, perm fs.FileMode) (files.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if flag&os.O_TRUNC != 0 {
		panic("filestest: O_TRUNC is not modelled")
	}
	n := d.seen[path]
	op := "open"
	if n == nil && flag&os.O_CREATE != 0 {
		op = "create"
	}
	if err := d.step(op, path); err != nil {
		return nil, err
	}
	f, err := d.os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	if n == nil {
		n = &node{mode: perm, keptMode: perm}
		d.change(change{dir: filepath.Dir(path), name: path, node: n})
	}
	return &handle{File: f, disk: d, node: n}, nil
}

func (d *Disk) change(c change) {
	c.apply(d.seen)
	d.changes = append(d.changes, c)
}

// Stat implements [files.System].
func (d *Disk) Stat(path string) (fs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("stat", path); err != nil {
		return nil, err
	}
	return d.os.Stat(path)
}

// Lstat implements [files.System].
func (d *Disk) Lstat(path string) (fs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("lstat", path); err != nil {
		return nil, err
	}
	return d.os.Lstat(path)
}

// ReadDir implements [files.System].
func (d *Disk) ReadDir(path string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("readdir", path); err != nil {
		return nil, err
	}
	return d.os.ReadDir(path)
}

// Mkdir implements [files.System].
func (d *Disk) Mkdir(path string, perm fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("mkdir", path); err != nil {
		return err
	}
	if err := d.os.Mkdir(path, perm); err != nil {
		return err
	}
	d.change(change{dir: filepath.Dir(path), name: path, node: &node{dir: true, mode: perm, keptMode: perm}})
	return nil
}

// Rename implements [files.System].
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if filepath.Dir(from) != filepath.Dir(to) {
		panic("filestest: a rename from one directory to another is not modelled")
	}
	if err := d.step("rename", to); err != nil {
		return err
	}
	if err := d.os.Rename(from, to); err != nil {
		return err
	}
	d.change(change{dir: filepath.Dir(to), gone: from, name: to, node: d.seen[from]})
	return nil
}

// Remove implements [files.System].
func (d *Disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("remove", path); err != nil {
		return err
	}
	if err := d.os.Remove(path); err != nil {
		return err
	}
	d.change(change{dir: filepath.Dir(path), gone: path})
	return nil
}

// SyncDir implements [files.System].
func (d *Disk) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("syncdir", path); err != nil {
		return err
	}
	if _, err := d.os.Stat(path); err != nil {
		return err
	}
	var later []change
	for _, c := range d.changes {
		if c.dir == filepath.Clean(path) {
			c.apply(d.kept)
		} else {
			later = append(later, c)
		}
	}
	d.changes = later
	return nil
}

// String tells the operations so far, for the message of a test that fails.
func (d *Disk) String() string {
	s := ""
	for i, op := range d.Log() {
		s += fmt.Sprintf("%4d %s\n", i+1, op)
	}
	return s
}
