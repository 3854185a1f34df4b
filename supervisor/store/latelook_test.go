package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A look that a slow disk has held up until the store was closed changes
// nothing: somebody else may have the directory by then.
func TestLateLookWritesNothing(t *testing.T) {
	dir := stateDir(t)
	disk := filepath.Dir(dir)
	s, err := store.Open(dir, store.Options{})
	ok(t, err)
	commit(t, s, "main", 1, 1)
	ok(t, os.Rename(disk, disk+"-gone"))
	s.BreakFile()
	if err := s.Commit(t.Context(), next("main", 2)); !errors.Is(err, store.ErrDisk) {
		t.Fatalf("the disk is gone, and the commit says %v", err)
	}
	_ = s.Close()
	ok(t, os.Rename(disk+"-gone", disk))

	other, err := store.Open(dir, store.Options{Timeout: time.Millisecond})
	ok(t, err)
	commit(t, other, "main", 2, 3)
	ok(t, other.Close())
	before := read(t, file(dir))
	s.Look()
	_ = s.Close()
	if !slices.Equal(read(t, file(dir)), before) {
		t.Error("the state file was written by a store that is closed")
	}
	again, err := store.Open(dir, store.Options{Timeout: time.Millisecond})
	ok(t, err) // nobody holds the directory
	wantVersion(t, again, "main", 3)
	ok(t, again.Close())
}
