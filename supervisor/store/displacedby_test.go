package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A directory of somebody else's, with something in it, is not used while it is
// open to others: the fault says how to close it.
func TestReplacedByAnOpenDirectory(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 2)
	must(t, errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "notes"), nil, 0o644)))
	s.Look()
	if err := s.Fault(); !errors.Is(err, store.ErrDisk) || !strings.Contains(err.Error(), "chmod 700 "+dir) {
		t.Errorf("fault: %v", err)
	}
	must(t, os.Chmod(dir, 0o700))
	s.Look()
	if err := s.Fault(); err != nil {
		t.Error(err)
	}
	commit(t, s, "main", 3, 3)
}

// Who owns the directory could put a store of his own there, and answers of a
// broker: nothing of ours goes into it. An empty one is only in the way.
func TestReplacedByADirectoryOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory to another user")
	}
	const stranger = 34567
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 2)
	theirs := filepath.Join(dir, "tokenkeeper.db")
	must(t, errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.WriteFile(theirs, []byte("theirs"), 0o600),
		os.Chown(theirs, stranger, stranger), os.Chown(dir, stranger, stranger)))
	s.Look()
	if err := s.Fault(); !errors.Is(err, store.ErrDisk) || !strings.Contains(err.Error(), "belongs to user 34567") {
		t.Errorf("fault: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("in their directory: %v, %v", entries, err)
	}
	must(t, os.Remove(theirs))
	s.Look()
	if err := s.Fault(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the empty one was not replaced by ours: %v, %v", info, err)
	}
	commit(t, s, "main", 3, 3)
}

// Another supervisor that has started in the place of the directory keeps it.
func TestReplacedByAnotherSupervisors(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 2)
	must(t, os.RemoveAll(dir))
	other := openStore(t, dir)
	s.Look()
	if err := s.Commit(t.Context(), next("main", 3)); !errors.Is(err, store.ErrDisk) || !errors.Is(err, store.ErrInUse) {
		t.Errorf("committed: %v", err)
	}
	commit(t, other, "another", 1, 2)
	must(t, other.Close())
	s.Look()
	commit(t, s, "main", 3, 3)
	if kept := glob(t, file(dir)+".found-*"); len(kept) != 1 {
		t.Errorf("kept %v", kept)
	}
}

// A file system that is mounted over the directory, and taken away again.
func TestMountOverTheDirectory(t *testing.T) {
	o := store.Options{Fallback: filepath.Join(fastDir(t), "fallback")}
	for name, o := range map[string]store.Options{"without a fallback": {}, "with one": o} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			s, err := store.Open(dir, o)
			must(t, err)
			defer func() { _ = s.Close() }()
			commit(t, s, "main", 1, 2)
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
				t.Skipf("a file system can't be mounted, which needs root: %v", err)
			}
			t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
			commit(t, s, "main", 3, 3)
			if filepath.Dir(s.Path()) != dir || len(glob(t, file(dir))) != 1 {
				t.Errorf("the store is in %s", s.Path())
			}
			must(t, unix.Unmount(dir, unix.MNT_DETACH))
			s.Look()
			wantVersion(t, s, "main", 3)
			must(t, s.Close())
			s, err = store.Open(dir, o)
			must(t, err)
			wantVersion(t, s, "main", 3)
			if s.Restored() != nil {
				t.Errorf("restored: %+v", s.Restored())
			}
		})
	}
}
