package store

import (
	"os"
	"path/filepath"
	"testing"
)

// On a file system that does not tell one file from another nothing is written
// anew for ever, and what somebody does is seen by the content.
func TestFilesThatAreAllAlike(t *testing.T) {
	s := reach(t, filepath.Join(t.TempDir(), "state"))
	defer func() { _ = s.Close() }()
	m := s.mirror
	another, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.file.identity, m.at.identity = another, another
	m.settleIn()
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
	s.Look()
	if s.Fault() != nil || m.displaced() != nil {
		t.Errorf("fault %v, displaced: %v", s.Fault(), m.displaced())
	}
	if err := os.Remove(m.at.file()); err != nil {
		t.Fatal(err)
	}
	if m.displaced() == nil {
		t.Error("it is not seen that the file is gone")
	}
}
