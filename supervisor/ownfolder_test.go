package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What an observer has left that was killed goes with the next start, and nothing else does:
// not that of one that lives, nor what only has such a name.
func TestLeftFoldersAreRemoved(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", dir)
	made := func() ownFolder {
		t.Helper()
		f, err := newOwnFolder()
		if err == nil {
			err = os.MkdirAll(filepath.Join(f.path, "spool", "schwab"), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	lives, dead := made(), made()
	if err := dead.lock.Close(); err != nil { // as the kernel does of a process that was killed
		t.Fatal(err)
	}
	stays := []string{filepath.Base(lives.path), ownPrefix + "file", ownPrefix + "link", "other"}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, ownPrefix+"file"), nil, 0o600), os.Mkdir(filepath.Join(dir, "other"), 0o700),
		os.Symlink(elsewhere, filepath.Join(dir, ownPrefix+"link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	RemoveLeftFolders()
	var left []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	slices.Sort(stays)
	if err != nil || !slices.Equal(left, stays) {
		t.Errorf("left is %q, %v; want %q", left, err, stays)
	}
	if _, err := os.Stat(elsewhere); err != nil {
		t.Error(err)
	}
	if err := lives.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(lives.path); err == nil {
		t.Error("it is there after its end")
	}
}
