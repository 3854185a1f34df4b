package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// smallDisk mounts a file system of one mebibyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		t.Skipf("a small file system can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fillUp leaves no free block on the file system of dir.
func fillUp(t *testing.T, dir string) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	must(t, err)
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	must(t, f.Close())
	return filler
}

// A full disk takes small changes, because room was set aside. When that is
// used up, writes are refused, reads go on, and room is used as soon as there
// is some.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	dir, told := filepath.Join(disk, "state"), &troubles{}
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(dir, store.Options{Trouble: told.add})
		must(t, err)
		commit(t, s, "main", 1, 3)
		filler := fillUp(t, disk)
		commit(t, s, "main", 4, 40)
		if told.String() != "" {
			t.Errorf("told %q while room was set aside", told)
		}
		n, refused := 0, error(nil)
		for ; refused == nil && n < 1000; n++ {
			refused = s.Commit(t.Context(), next(accountName(n), 1))
		}
		if !errors.Is(refused, store.ErrDisk) || !errors.Is(refused, unix.ENOSPC) {
			t.Fatalf("%d accounts, then %v", n, refused)
		}
		t.Logf("%d new accounts were taken on a full disk", n-1)
		for range 3 {
			time.Sleep(store.RetryAfter)
			if err := s.Commit(t.Context(), next("main", 41)); !errors.Is(err, store.ErrDisk) {
				t.Errorf("on a full disk: %v", err)
			}
			wantVersion(t, s, "main", 40)
			wantVersion(t, s, accountName(0), 1)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
			t.Errorf("half a file takes up room: %v", left)
		}
		must(t, os.Remove(filler))
		time.Sleep(store.RetryAfter)
		commit(t, s, "main", 41, 42)
		if got := told.String(); got != "fault recovered" {
			t.Errorf("told %q", got)
		}
		s.Die()
		s, err = store.Open(dir, store.Options{})
		must(t, err)
		wantVersion(t, s, "main", 42)
		wantVersion(t, s, accountName(n-2), 1)
		must(t, s.Close())
	})
}

// On a full disk the store goes on in the fallback directory.
func TestFullDiskFallback(t *testing.T) {
	disk := smallDisk(t)
	o := store.Options{Fallback: filepath.Join(fastDir(t), "fallback")}
	s, err := store.Open(filepath.Join(disk, "state"), o)
	must(t, err)
	commit(t, s, "main", 1, 1)
	fillUp(t, disk)
	for n := range 300 {
		commit(t, s, accountName(n), 1, 1)
	}
	if !strings.HasPrefix(s.Path(), o.Fallback) {
		t.Errorf("the store is in %s", s.Path())
	}
	s.Die()
	// It can't move back yet.
	s, err = store.Open(filepath.Join(disk, "state"), o)
	must(t, err)
	defer func() { _ = s.Close() }()
	if !strings.HasPrefix(s.Path(), o.Fallback) || s.Restored() != nil {
		t.Errorf("the store is in %s, restored: %+v", s.Path(), s.Restored())
	}
	wantVersion(t, s, accountName(299), 1)
	commit(t, s, "main", 2, 2)
}

// A state directory that can only be read is served from; with a fallback, it
// goes on there and moves back.
func TestReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "state")
	remount := func(flags uintptr) {
		t.Helper()
		must(t, unix.Mount("", disk, "", unix.MS_REMOUNT|flags, ""))
	}
	s, err := store.Open(dir, store.Options{})
	must(t, err)
	commit(t, s, "main", 1, 2)
	must(t, s.Close())

	remount(unix.MS_RDONLY)
	told := &troubles{}
	s, err = store.Open(dir, store.Options{Trouble: told.add})
	must(t, err)
	wantVersion(t, s, "main", 2)
	if err := s.Commit(t.Context(), next("main", 3)); !errors.Is(err, store.ErrDisk) || !errors.Is(err, unix.EROFS) {
		t.Errorf("on a read-only disk: %v", err)
	}
	if !strings.HasPrefix(told.String(), "fault") || s.Fault() == nil {
		t.Errorf("told %q, fault %v", told, s.Fault())
	}
	must(t, s.Close())

	o := store.Options{Fallback: filepath.Join(fastDir(t), "fallback")}
	s, err = store.Open(dir, o)
	must(t, err)
	commit(t, s, "main", 3, 4)
	must(t, s.Close())

	remount(0)
	s, err = store.Open(dir, o)
	must(t, err)
	defer func() { _ = s.Close() }()
	wantVersion(t, s, "main", 4)
	if filepath.Dir(s.Path()) != dir {
		t.Errorf("the store is in %s", s.Path())
	}
}
