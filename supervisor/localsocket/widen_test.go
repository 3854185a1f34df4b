package localsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
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
		if err := widen(at(name), 0o666, false); err == nil || !strings.Contains(err.Error(), "somebody has put something else there") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := widen(at("missing"), 0o666, false); !errors.Is(err, fs.ErrNotExist) {
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
	if err := widen(at("ours"), 0o666, false); err != nil || modeOf("ours") != 0o666 {
		t.Errorf("our own has mode %o: %v", modeOf("ours"), err)
	}
}

// What root opens in the folder of another user is that user's, where that is wanted, who
// then opens one of his own in the place of one that was left behind.
func TestASocketOfItsFolder(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := t.TempDir()
	if err := os.Chown(dir, usertest.Stranger, usertest.Stranger); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"theirs": usertest.Stranger, "ours": 0} {
		path := filepath.Join(dir, name)
		s, err := Listen(path, Options{Name: "the socket", Mode: 0o666, OfFolder: name == "theirs"})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want || info.Mode().Perm() != 0o666 || !s.Stands() {
			t.Errorf("%s is of user %d with mode %o, want user %d; it stands: %t", name, got, info.Mode().Perm(), want, s.Stands())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
