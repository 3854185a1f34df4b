package unixsocket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinkJustBeforeConnecting: what was no link when it was judged is not followed
// as one when it is connected to; a link that was judged is.
func TestLinkJustBeforeConnecting(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path, other := filepath.Join(dir, "s"), filepath.Join(dir, "o")
	for _, p := range []string{path, other} {
		l, err := net.Listen("unix", p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	s := &Sink{cfg: Config{Path: path}}
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.dial(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := errors.Join(os.Remove(path), os.Symlink(other, path)); err != nil {
		t.Fatal(err)
	}
	if conn, err := s.dial(t.Context(), before); err == nil {
		_ = conn.Close()
		t.Error("the link was followed")
	} else if !strings.Contains(err.Error(), "replaced by a link") {
		t.Error(err)
	}
	link, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err = s.dial(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
