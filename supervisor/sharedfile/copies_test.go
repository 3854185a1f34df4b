package sharedfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// Of one lock two copies are left, one with the service manager and one with the
// provider: each is closed in the end, also when the other is in use as it comes.
func TestEachCopyOfALockIsClosed(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "lock")
	f, err := sharedfile.New(sharedfile.Config{Path: filepath.Join(dir, "one"), Lock: lock, Format: format.SaxoCache, Patience: time.Second, Shelf: &sharedfile.Shelf{}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(first.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	second := os.NewFile(uintptr(fd), lock)
	if !f.Inherit(first, time.Minute) {
		t.Fatal("the first is not taken over")
	}
	release, err := f.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !f.Inherit(second, time.Minute) {
		t.Fatal("the second is not taken over")
	}
	f.Keep(time.Minute)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	f.Forgo()
	for name, c := range map[string]*os.File{"first": first, "second": second} {
		if _, err := c.Stat(); err == nil {
			t.Errorf("the %s is open", name)
		}
	}
}
