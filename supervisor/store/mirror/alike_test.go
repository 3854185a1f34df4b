package mirror

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// values is a state that means nothing.
type values map[string][]byte

func (v values) Values() (map[string][]byte, error) { return maps.Clone(v), nil }
func (v values) Empty() bool                        { return len(v) == 0 }

func (v values) Apply(c map[string][]byte) error {
	for key, value := range c {
		if delete(v, key); value != nil {
			v[key] = value
		}
	}
	return nil
}

// begin makes a mirror in a new directory.
func begin(t *testing.T, o Options) *Mirror {
	t.Helper()
	m, err := New(filepath.Join(t.TempDir(), "state"), o.WithDefaults())
	if err == nil {
		t.Cleanup(func() { _ = m.Close() })
		err = m.Begin(values{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// On a file system that does not tell one file from another nothing is written
// anew for ever, and what somebody does is seen by the content.
func TestFilesThatAreAllAlike(t *testing.T) {
	m := begin(t, Options{})
	another, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.file.Identity, m.at.identity = another, another
	m.lookAround()
	if !m.at.alike || m.displaced() != nil {
		t.Fatalf("alike: %t, displaced: %v", m.at.alike, m.displaced())
	}
	if err := os.WriteFile(m.at.file()+".put", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.at.file()+".put", m.at.file()); err != nil {
		t.Fatal(err)
	}
	if m.displaced() == nil {
		t.Error("another content is not seen")
	}
	m.Look()
	if m.Fault() != nil || m.displaced() != nil {
		t.Errorf("fault %v, displaced: %v", m.Fault(), m.displaced())
	}
	if err := os.Remove(m.at.file()); err != nil {
		t.Fatal(err)
	}
	if m.displaced() == nil {
		t.Error("it is not seen that the file is gone")
	}
}

// Making a large file compact is no disk that hangs.
func TestCompactionIsNoHang(t *testing.T) {
	m := &Mirror{upkeep: upkeep{file: &journal.File{Room: 40 << 20}}}
	if m.worksFor() < 5*time.Second {
		t.Error(fmt.Sprint(m.worksFor()))
	}
}
