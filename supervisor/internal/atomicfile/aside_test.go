package atomicfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// What is left of a damaged file is kept beside it, for those who could read the file, the
// newest few and each once.
func TestKeepAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.json")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65533); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 5 {
		for range 2 {
			kept, err := KeepAside(files.OS{}, path, fmt.Appendf(nil, "rest %d", n))
			if err != nil || kept != path+".damaged" {
				t.Fatal(kept, err)
			}
		}
	}
	for name, want := range map[string]string{".damaged": "rest 4", ".damaged.2": "rest 3", ".damaged.3": "rest 2"} {
		if b, err := os.ReadFile(path + name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		was, _ := AttributesOf(files.OS{}, path)
		if is, err := AttributesOf(files.OS{}, path+name); err != nil || is != was {
			t.Errorf("%s: %+v, %v; the file has %+v", name, is, err, was)
		}
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 4 {
		t.Errorf("%d files, %v", len(all), err)
	}
	// Where there is no room for another one, none of those that are kept gives way to it.
	for range 3 {
		if _, err := KeepAside(noRoom{}, path, []byte("rest 5")); err == nil {
			t.Error("it is kept where there is no room")
		}
	}
	for name, want := range map[string]string{".damaged": "rest 4", ".damaged.2": "rest 3", ".damaged.3": "rest 2"} {
		if b, err := os.ReadFile(path + name); err != nil || string(b) != want {
			t.Errorf("%s, on a full disk: %q, %v", name, b, err)
		}
	}
}

// noRoom is a disk on which no file is made.
type noRoom struct{ files.OS }

func (d noRoom) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if flag&os.O_CREATE != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	return d.OS.OpenFile(name, flag, perm)
}
