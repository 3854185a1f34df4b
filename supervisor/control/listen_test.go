package control_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// leaveStale leaves a socket behind as a killed program does.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListenIsForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "control.sock")
	ln, err := control.Listen(path, config.Control{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there after Close")
	}
}

func TestListenReplacesOnlyADeadSocket(t *testing.T) {
	dir := t.TempDir()

	stale := filepath.Join(dir, "stale.sock")
	leaveStale(t, stale)
	ln, err := control.Listen(stale, config.Control{})
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	defer func() { _ = ln.Close() }()

	if _, err := control.Listen(stale, config.Control{}); err == nil || !strings.Contains(err.Error(), "another program answers") {
		t.Errorf("a live socket: %v", err)
	}
	if conn, err := net.Dial("unix", stale); err != nil {
		t.Errorf("the live socket is gone: %v", err)
	} else {
		_ = conn.Close()
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(file, config.Control{}); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if got, _ := os.ReadFile(file); string(got) != "precious" {
		t.Error("the file was touched")
	}

	long := filepath.Join(dir, strings.Repeat("x", 100), "control.sock")
	if _, err := control.Listen(long, config.Control{}); err == nil || !strings.Contains(err.Error(), "at most 107") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(long)); err == nil {
		t.Error("a directory was made for a path that can't be used")
	}
}
