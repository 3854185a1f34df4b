package control_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// TestAnotherUserIsTurnedAway opens the socket's mode, so that the peer
// credentials alone decide, and connects as somebody else.
func TestAnotherUserIsTurnedAway(t *testing.T) {
	usertest.NeedsRoot(t)
	socket, _, _ := serve(t, &backend{})
	open(t, socket)
	conn := usertest.Dial(t, socket, usertest.Stranger)
	waittest.Limit(t, conn)
	if _, err := io.WriteString(conn, "GET /v1/accounts/main/token HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"code":"forbidden"`) || strings.Contains(string(body), "at-") {
		t.Errorf("got %s %s", resp.Status, body)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the connection was not closed: %v", err)
	}
}

// open lets everybody reach the socket.
func open(t *testing.T, socket string) {
	t.Helper()
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
