package localsocket

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever reads why nothing could be connected to knows the
// socket by the path that he has written, not by the descriptor it is held by.
func TestErrorNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, err = Dial(t.Context(), path, nil)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "/proc/") {
		t.Errorf("the error does not name %s: %v", path, err)
	}
}
