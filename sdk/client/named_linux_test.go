package client_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

// No error names the descriptor by which a socket is held.
func TestErrorNamesNoDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := client.New(path)
	defer c.Close()
	if _, err := c.Token(t.Context(), "a"); err == nil || strings.Contains(err.Error(), "/proc/") {
		t.Errorf("%v", err)
	}
}
