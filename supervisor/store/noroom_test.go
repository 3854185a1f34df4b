package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// What is damaged in one of its copies keeps nobody from storing where no fresh file can be
// made, as on a full disk: it is put right where it is.
func TestWornFileWithoutRoomForAnother(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(dir, store.FileName)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 5)
	must(t, s.Close())
	whole := read(t, file)
	for name, at := range map[string]int{"the first head": 10, "the second head": 4096 + 10, "a frame": physical(1, framesOf(whole)[2]+40)} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		must(t, os.WriteFile(file, b, 0o600))
		inTheWay := file + ".new"
		must(t, os.MkdirAll(filepath.Join(inTheWay, "in the way"), 0o700))
		told := &troubles{}
		s, err := store.Open(dir, store.Options{Trouble: told.add})
		must(t, err)
		if s.Fault() != nil || told.String() != "fault recovered" {
			t.Errorf("%s: told %q, fault %v", name, told, s.Fault())
		}
		commit(t, s, "main", 6, 6)
		must(t, errors.Join(s.Close(), os.RemoveAll(inTheWay)))
		if img := journal.ReadBytes(read(t, file)); !img.Good() || img.Worn {
			t.Errorf("%s: worn: %t, %v", name, img.Worn, img.Err)
		}
		s = openStore(t, dir)
		wantVersion(t, s, "main", 6)
		if s.Restored() != nil {
			t.Errorf("%s: restored", name)
		}
		must(t, errors.Join(s.Close(), os.RemoveAll(filepath.Join(dir, "backup"))))
	}
}

// A block that is found damaged while the store runs, in a directory that takes no other
// file, keeps nobody from storing either.
func TestDamageWithoutRoomWhileRunning(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	s, err := store.Open(dir, store.Options{Trouble: told.add})
	must(t, err)
	defer func() { _ = s.Close() }()
	commit(t, s, "main", 1, 5)
	path := s.Path()
	before := inode(t, path)
	spoil(t, path, physical(1, framesOf(read(t, path))[2]+40))
	inTheWay := path + ".new"
	must(t, os.MkdirAll(filepath.Join(inTheWay, "in the way"), 0o700))
	if err := s.Backup(t.Context()); err != nil || s.Fault() != nil || told.String() != "fault recovered" {
		t.Errorf("%v, fault %v, told %q", err, s.Fault(), told)
	}
	commit(t, s, "main", 6, 6)
	if img := journal.ReadBytes(read(t, path)); !img.Good() || img.Worn || inode(t, path) != before {
		t.Errorf("worn: %t, %v", img.Worn, img.Err)
	}
	must(t, os.RemoveAll(inTheWay))
	s.Die()
	s = openStore(t, dir)
	wantVersion(t, s, "main", 6)
	if s.Restored() != nil {
		t.Errorf("restored: %+v", s.Restored())
	}
}

// spoil damages a byte of a file, as a disk does: nobody has written it.
func spoil(t *testing.T, path string, at int) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	b := read(t, path)[at : at+1]
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{b[0] ^ 1}, int64(at))
	must(t, errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, info.ModTime())))
}
