package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// sick is a file system of which the part under root fails, from one operation
// on, to take anything more; with everything, to give anything back, too.
type sick struct {
	files.OS
	root       string
	fault      error // nil: it is well
	after      int   // operations that still succeed
	everything bool
}

// refuse is asked before each operation.
func (d *sick) refuse(name string, writes bool) error {
	if d.fault == nil || !strings.HasPrefix(name, d.root) || !writes && !d.everything {
		return nil
	}
	if d.after--; d.after >= 0 {
		return nil
	}
	return &fs.PathError{Op: "do", Path: name, Err: d.fault}
}

func (d *sick) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if err := d.refuse(name, flag&(os.O_RDWR|os.O_WRONLY|os.O_CREATE) != 0); err != nil {
		return nil, err
	}
	f, err := d.OS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return sickFile{f, d}, nil
}

func (d *sick) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := d.refuse(name, false); err != nil {
		return nil, err
	}
	return d.OS.ReadDir(name)
}

func (d *sick) Mkdir(name string, perm fs.FileMode) error {
	if err := d.refuse(name, true); err != nil {
		return err
	}
	return d.OS.Mkdir(name, perm)
}

func (d *sick) Remove(name string) error {
	if err := d.refuse(name, true); err != nil {
		return err
	}
	return d.OS.Remove(name)
}

func (d *sick) SyncDir(name string) error {
	if err := d.refuse(name, true); err != nil {
		return err
	}
	return d.OS.SyncDir(name)
}

type sickFile struct {
	files.File
	disk *sick
}

func (f sickFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.disk.refuse(f.Name(), true); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, at)
}

func (f sickFile) Sync() error {
	if err := f.disk.refuse(f.Name(), true); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f sickFile) Datasync() error {
	if err := f.disk.refuse(f.Name(), true); err != nil {
		return err
	}
	return f.File.Datasync()
}

// pair is a directory on a disk that may fall ill, and its fallback, both in
// memory: no power is lost here.
func pair(t *testing.T) (d *sick, dir, fallback string) {
	t.Helper()
	root := filestest.Scratch(t)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	dir = filepath.Join(root, "state", "spool", "p")
	return &sick{root: filepath.Join(root, "state")}, dir, filepath.Join(root, "other", "name", "spool", "p")
}

func openBoth(t *testing.T, d *sick, dir, fallback string) *Spool {
	t.Helper()
	s, err := openOn(t.Context(), d, 1, dir, fallback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Whatever the disk stops to take at whatever moment: with a fallback, an
// attempt can be made, and its answer is found by the next process.
func TestFallbackTakesWhatTheDiskRefuses(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
		for after := range 60 {
			d, dir, fallback := pair(t)
			name := fmt.Sprintf("%v after %d operations", fault, after)
			d.fault, d.after = fault, after
			s, err := openOn(t.Context(), d, 1, dir, fallback)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			refused := 0
			attempt := func(id string) bool {
				slot, _, err := s.Begin(Header{Attempt: id, Account: "main"})
				if err != nil {
					t.Fatalf("%s: no attempt: %v", name, err)
				}
				if slot.Advance(Sent) != nil { // so nothing is sent, and it is tried again
					if refused++; refused > 1 {
						t.Errorf("%s: more than the one attempt that met the fault could not be made", name)
					}
					_ = s.Settle(id, false)
					return false
				}
				if err := slot.Record([]byte("answer of " + id)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return true
			}
			for _, id := range []string{"a", "b", "c"} {
				if attempt(id) {
					if err := s.Settle(id, false); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
			last := "d"
			if !attempt(last) {
				last = "e"
				attempt(last)
			}
			_ = s.Close()

			// The disk is as it was, or somebody has mended it.
			for _, d.fault = range []error{fault, nil} {
				s, err := openOn(t.Context(), d, 1, dir, fallback)
				if err != nil {
					t.Fatalf("%s: the next process: %v", name, err)
				}
				wantAnswer(t, s, last, "main", "answer of "+last)
				_ = s.Close()
			}
		}
	}
}

// What was spooled before the disk could only be read is found there, and
// settled as far as it can be; new attempts go to the fallback, and back when
// the disk is well again.
func TestFallbackBesideAReadOnlyDisk(t *testing.T) {
	d, dir, fallback := pair(t)
	s := openBoth(t, d, dir, fallback)
	record(t, begin(t, s, "a", "main"), "the old answer")
	if _, err := os.Stat(fallback); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the fallback is made though nobody needs it: %v", err)
	}
	_ = s.Close()

	d.fault = syscall.EROFS
	s = openBoth(t, d, dir, fallback)
	wantAnswer(t, s, "a", "main", "the old answer")
	brief, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if _, err := openOn(brief, d, 1, dir, fallback); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second process beside it: %v", err)
	}
	if err := s.Settle("a", false); err != nil {
		t.Fatal(err)
	}
	record(t, begin(t, s, "b", "main"), "the new answer")
	_ = s.Close()

	d.fault = nil
	s = openBoth(t, d, dir, fallback)
	wantAnswer(t, s, "a", "main", "the old answer") // nobody could note that it is settled
	wantAnswer(t, s, "b", "main", "the new answer")
	if err := errors.Join(s.Settle("a", false), s.Settle("b", false)); err != nil {
		t.Fatal(err)
	}
	if slot := begin(t, s, "c", "main"); slot.in().dir != dir {
		t.Errorf("the next attempt is in %s", slot.in().dir)
	}
}

// A directory that can't be read may hold an answer: nothing is sent before it
// can. A fallback that can't be read stops nothing.
func TestUnreadablePlaces(t *testing.T) {
	d, dir, fallback := pair(t)
	record(t, begin(t, openBoth(t, d, dir, fallback), "a", "main"), "the answer")
	d.fault, d.everything = syscall.EIO, true
	if _, err := openOn(t.Context(), d, 1, dir, fallback); err == nil {
		t.Error("an answer may be overlooked")
	}

	d, fallback, dir = pair(t)
	openBoth(t, &sick{}, fallback, dir) // so that it is there
	d.fault, d.everything = syscall.EIO, true
	s := openBoth(t, d, dir, fallback)
	record(t, begin(t, s, "b", "main"), "the answer")
}
