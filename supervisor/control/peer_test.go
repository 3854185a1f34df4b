package control_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// TestAnotherUserIsTurnedAway opens the socket's mode, so that the peer
// credentials alone decide, and connects as somebody else.
func TestAnotherUserIsTurnedAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as another user")
	}
	socket, _, _ := serve(t, &backend{})
	open(t, socket)

	var conn net.Conn
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// One thread takes another effective user and ends with the goroutine.
		runtime.LockOSThread()
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); e != 0 {
			failed = e
			return
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			failed = err
			return
		}
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
			failed = err
			return
		}
		file := os.NewFile(uintptr(fd), "control")
		conn, failed = net.FileConn(file)
		_ = file.Close()
	}()
	<-done
	if failed != nil {
		t.Fatal(failed)
	}
	defer func() { _ = conn.Close() }()
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
