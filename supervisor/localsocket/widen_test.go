package localsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever owns the folder puts something else where our socket was just opened:
// nothing but the socket gets its mode.
func TestOnlyTheSocketIsOpenedToOthers(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	listen := func(path string) error {
		ln, err := net.Listen("unix", path)
		if err == nil {
			t.Cleanup(func() { _ = ln.Close() })
			err = os.Chmod(path, 0o600)
		}
		return err
	}
	err := errors.Join(listen(at("ours")), listen(at("open")), os.Chmod(at("open"), 0o660), os.WriteFile(at("file"), nil, 0o600),
		os.Symlink("file", at("link")), os.Symlink("ours", at("other")), os.Mkdir(at("folder"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link", "other", "folder", "open"} {
		if err := widen(at(name), 0o666); err == nil || !strings.Contains(err.Error(), "somebody has put something else there") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := widen(at("missing"), 0o666); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is missing: %v", err)
	}
	modeOf := func(name string) fs.FileMode {
		info, err := os.Stat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if modeOf("file") != 0o600 || modeOf("ours") != 0o600 || modeOf("open") != 0o660 || modeOf("folder") != 0o700 {
		t.Error("the mode of something else was changed")
	}
	if err := widen(at("ours"), 0o666); err != nil || modeOf("ours") != 0o666 {
		t.Errorf("our own has mode %o: %v", modeOf("ours"), err)
	}
}
