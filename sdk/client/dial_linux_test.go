package client

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReach: what is connected to is what was found, by links of ours and
// none that comes in its place meanwhile.
func TestReach(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(at("run"), 0o700), os.Symlink("run", at("near")), os.Symlink(at("near"), at("far")),
		os.Symlink("../near/../run", at("run/up")), os.Symlink("round", at("round"))); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("run/s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	want, err := os.Lstat(at("run/s"))
	if err != nil {
		t.Fatal(err)
	}
	for path, fails := range map[string]error{
		"run/s": nil, "near/s": nil, "far/s": nil, "run/up/s": nil, "run/../far//s": nil,
		"round/s": syscall.ELOOP, "run/none": fs.ErrNotExist, "none/s": fs.ErrNotExist, "run/s/s": syscall.ENOTDIR,
	} {
		held, err := reach(at(path), nil)
		if err != nil || fails != nil {
			if !errors.Is(err, fails) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if got, err := held.Stat(); err != nil || !os.SameFile(got, want) {
			t.Errorf("%s leads elsewhere: %v", path, err)
		}
		_ = held.Close()
	}

	held, err := reach(at("near/s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if err := errors.Join(os.Rename(at("run"), at("gone")), os.Mkdir(at("run"), 0o700), os.Symlink("/", at("run/s"))); err != nil {
		t.Fatal(err)
	}
	if got, err := held.Stat(); err != nil || !os.SameFile(got, want) {
		t.Errorf("what was held became another: %v", err)
	}
}
