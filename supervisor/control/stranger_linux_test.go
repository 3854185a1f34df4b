package control_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// A socket that somebody else has opened first gets no token to import.
func TestClientTellsAStrangerNothing(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := filepath.Join(t.TempDir(), "run")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777|os.ModeSticky),
		os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	l := usertest.Listen(t, path, usertest.Stranger)
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(conn)
		_ = conn.Close()
		heard <- string(b)
	}()
	c := control.NewClient(path)
	defer c.Close()
	_, err := c.Import(t.Context(), control.ImportRequest{Account: "a", Body: []byte("CANARY")})
	var refusal *trust.PeerRefusal
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "--socket") {
		t.Errorf("the refusal says: %v", err)
	}
	if got := <-heard; got != "" {
		t.Errorf("a stranger heard %q", got)
	}
}

// A stranger's link above the socket leads the client to no other service, though
// root serves it.
func TestClientFollowsNoLinkOfAStranger(t *testing.T) {
	usertest.NeedsRoot(t)
	for name, stranger := range map[string]bool{"ours": false, "a stranger's": true} {
		dir := t.TempDir()
		link := filepath.Join(dir, "way")
		if err := errors.Join(os.Chmod(dir, 0o777|os.ModeSticky), os.Mkdir(filepath.Join(dir, "s"), 0o700), os.Symlink("s", link)); err != nil {
			t.Fatal(err)
		}
		if stranger {
			if err := os.Lchown(link, usertest.Stranger, usertest.Stranger); err != nil {
				t.Fatal(err)
			}
		}
		l := usertest.Listen(t, filepath.Join(dir, "s", "c"), 0)
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			if conn, err := l.Accept(); err == nil {
				_ = conn.Close()
			}
		}()
		c := control.NewClient(filepath.Join(link, "c"))
		_, err := c.Import(t.Context(), control.ImportRequest{Account: "a", Body: []byte("CANARY")})
		c.Close()
		var refusal *trust.Refusal
		if errors.As(err, &refusal) != stranger || stranger && !strings.Contains(err.Error(), "realpath shows it), with --socket") {
			t.Errorf("%s: %v", name, err)
		}
		if stranger {
			_ = l.Close()
		}
		<-heard
	}
}
