package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Whoever removes one slot of a spool whose process is dead may have removed what tells of
// a request that was sent: the next process does not call it the same spool, whatever
// slots are left.
func TestOneSlotRemovedWhileARequestIsSent(t *testing.T) {
	for name, tt := range map[string]struct {
		remove   func(slots []string, sent string) string
		fallback bool
	}{
		"the one of the request": {func(_ []string, sent string) string { return sent }, false},
		"the first":              {func(slots []string, _ string) string { return slots[0] }, false},
		"the last":               {func(slots []string, _ string) string { return slots[len(slots)-1] }, false},
		"one of the fallback":    {func(slots []string, _ string) string { return slots[0] }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dirs := []string{filepath.Join(t.TempDir(), "spool"), filepath.Join(t.TempDir(), "fallback")}
			s, err := openOn(t.Context(), files.OS{}, 3, dirs[0], dirs[1])
			must(t, err)
			slot := begin(t, s, "a", "main")
			must(t, slot.Advance(Sent))
			dir := dirs[0]
			if tt.fallback {
				dir = dirs[1]
				must(t, s.places[1].grow(s))
				must(t, s.places[1].grow(s))
				s.noteAll()
			}
			id := s.ID()
			must(t, s.Close())
			must(t, os.Remove(tt.remove(glob(t, dir, slotPrefix+"*"), slot.path)))
			for range 2 {
				s, err = openOn(t.Context(), files.OS{}, 3, dirs[0], dirs[1])
				must(t, err)
				now := s.ID()
				must(t, s.Close())
				if now == id || now == "" {
					t.Errorf("the spool is called %q, and was %q", now, id)
				}
			}
		})
	}
}

// What the spool takes away itself, nobody misses.
func TestSlotsThatTheSpoolRemovesAreNotMissed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 2)
	unread, moved, failed := begin(t, s, "a", "x"), begin(t, s, "b", "y"), begin(t, s, "c", "z")
	record(t, unread, "the answer")
	must(t, s.Settle("a", true))
	_ = moved.file.Close() // it takes nothing more
	record(t, moved, "another")
	_ = failed.file.Close()
	must(t, s.Settle("c", false))
	id := s.ID()
	for range 2 {
		s = reopened(t, s, dir)
		if now := s.ID(); now != id {
			t.Errorf("the spool is called %q, and was %q", now, id)
		}
	}
	wantAnswer(t, s, "b", "y", "another")
}

// A spool that was made before there was an index is the one that it was, and has one from
// then on. One that is damaged, or of another spool, is none.
func TestSpoolWithoutAnIndex(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"none":          os.Remove,
		"damaged":       func(path string) error { return os.Truncate(path, 40) },
		"empty":         func(path string) error { return os.Truncate(path, 0) },
		"of another":    func(path string) error { return os.WriteFile(path, []byte("other\nslot-900\n"), 0o600) },
		"not a file":    func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"of less slots": nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 3)
			id := s.ID()
			path := filepath.Join(dir, indexName)
			if change == nil {
				change = func(path string) error { return os.WriteFile(path, []byte(id+"\nslot-000\n"), 0o600) }
			}
			must(t, s.Close())
			must(t, change(path))
			s = open(t, dir, 3)
			if now := s.ID(); now != id {
				t.Errorf("the spool is called %q, and was %q", now, id)
			}
			begin(t, s, "a", "main")
			must(t, s.Close())
			must(t, os.Remove(glob(t, dir, slotPrefix+"*")[1]))
			if now := open(t, dir, 3).ID(); (now == id) != (name == "not a file") {
				t.Errorf("with a slot less it is called %q, and was %q", now, id)
			}
		})
	}
}

// crammed is a disk on which the index can't be written any more.
type crammed struct{ files.OS }

func (d crammed) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if filepath.Base(name) == indexName+".new" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	return d.OS.OpenFile(name, flag, perm)
}

// Where the index can't be written, the slots that it names take attempts, and an answer
// goes where it finds a place; one that would not be missed takes none. Without an index
// each does, as before there were any.
func TestAnIndexThatCantBeWritten(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir, 1).Close())
	s, err := openOn(t.Context(), crammed{}, 2, dir)
	must(t, err)
	slot := begin(t, s, "a", "main")
	if _, _, err := s.Begin(Header{Attempt: "b", Account: "another"}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a slot that nobody would miss has taken an attempt: %v", err)
	}
	_ = slot.file.Close() // it takes nothing more
	record(t, slot, "the answer")
	s = reopened(t, s, dir)
	wantAnswer(t, s, "a", "main", "the answer")
	must(t, s.Close())

	must(t, os.Remove(filepath.Join(dir, indexName)))
	s, err = openOn(t.Context(), crammed{}, 3, dir)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	begin(t, s, "b", "another")
}
