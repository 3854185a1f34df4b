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
