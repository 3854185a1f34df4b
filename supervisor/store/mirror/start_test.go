package mirror

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// What was read of a damaged file is not written into another that stands in its place, as
// a fresh one does whose directory could not be synced.
func TestOnlyWhatWasReadIsPutRight(t *testing.T) {
	m := begin(t, Options{})
	for _, value := range []string{"1", "2"} {
		if err := m.Update(map[string][]byte{"key": []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	img, err := journal.Read(m.at.file())
	if err != nil {
		t.Fatal(err)
	}
	img.Worn = true
	for _, another := range []bool{false, true} {
		if another {
			if err := os.Remove(m.at.file()); err != nil {
				t.Fatal(err)
			}
			f, err := journal.Create(m.at.file(), journal.Fresh{Values: values{"key": []byte("2")}, Sequence: 9, Format: journal.Version})
			if err != nil {
				t.Fatal(err)
			}
			f.Drop()
		}
		before, err := os.ReadFile(m.at.file())
		if err != nil {
			t.Fatal(err)
		}
		m, err := New(m.at.dir, Options{}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(m.at.file()+nextSuffix, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := m.Adopt(values{"key": []byte("2")}, img); errors.Is(err, ErrDisk) != another {
			t.Errorf("another file: %t: %v", another, err)
		}
		if err := m.Update(map[string][]byte{"key": []byte("3")}); errors.Is(err, ErrDisk) != another {
			t.Errorf("another file: %t: %v", another, err)
		}
		after, err := os.ReadFile(m.at.file())
		if err != nil || bytes.Equal(after, before) != another {
			t.Errorf("another file: %t: written to: %t (%v)", another, !bytes.Equal(after, before), err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
