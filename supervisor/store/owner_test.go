package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

// TestOwnerStaysInside: whoever restores a store, or only its backup, has the
// name of its machine with it.
func TestOwnerStaysInside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := s.Owner(t.Context()); err != nil || !o.Name.Zero() {
		t.Fatalf("a new store belongs to %+v (%v)", o, err)
	}
	r := recordtest.Golden()
	r.Version, r.Grant = 1, 1
	if err := s.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := machine.Owner{Name: machine.NewName(machine.Facts{ID: "0123456789abcdef0123456789abcdef", Host: "vm"})}
	if err := s.SaveOwner(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := Peek(dir); err != nil || c.Owner() != want {
		t.Errorf("read from outside, it belongs to %+v (%v)", c.Owner(), err)
	}
	for name, harm := range map[string]func() error{
		"gone":    func() error { return os.Remove(filepath.Join(dir, FileName)) },
		"damaged": func() error { return os.Truncate(filepath.Join(dir, FileName), 5000) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o, err := s.Owner(t.Context()); err != nil || o != want || s.Restored() == nil {
			t.Errorf("restored after it was %s, it belongs to %+v (%v)", name, o, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := Peek(filepath.Join(dir, "nowhere")); err != nil || !c.Owner().Name.Zero() {
		t.Errorf("where there is no store, it belongs to %+v (%v)", c.Owner(), err)
	}
}
