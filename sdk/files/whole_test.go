package files_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// TestReadWhole: what is no file is named, and waited for by nobody.
func TestReadWhole(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte(strings.Repeat("x", 1<<20)), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("large"), []byte(strings.Repeat("x", 1<<20+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pipe", at("link")); err != nil {
		t.Fatal(err)
	}
	// A name of its own in the current folder: the path of a socket is short.
	t.Chdir(dir)
	l, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for path, want := range map[string]string{
		at("pipe"):   "it is a pipe (FIFO) and no file",
		at("link"):   "it is a pipe (FIFO) and no file",
		at("socket"): "it is a socket and no file",
		"/dev/null":  "it is a device and no file",
		dir:          "it is a folder",
		at("large"):  "it is larger than 1 MiB",
	} {
		_, _, err := files.ReadWhole(path, 1<<20)
		var kind files.Irregular
		if err == nil || !strings.HasSuffix(err.Error(), want) || errors.As(err, &kind) != (path != at("large")) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	data, info, err := files.ReadWhole(at("file"), 1<<20)
	if err != nil || len(data) != 1<<20 || info.Mode().Perm() != 0o640 {
		t.Errorf("%d bytes of a file, %v", len(data), err)
	}
	if _, _, err := files.ReadWhole(at("none"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of what is not there: %v", err)
	}
}
