package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// serviceManager is systemd's end of sd_notify(3).
type serviceManager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newServiceManager(t *testing.T, path string) *serviceManager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &serviceManager{t, conn}
}

// hears waits for a message. Signs of life may come at any time before it, and so
// may how it is.
func (m *serviceManager) hears(want string) {
	m.t.Helper()
	buf := make([]byte, 256)
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = m.conn.SetReadDeadline(time.Now()) })()
	for {
		n, err := m.conn.Read(buf)
		switch got := string(buf[:n]); {
		case err != nil:
			m.t.Fatalf("the service manager was not told %s: %v", want, err)
		case got == want:
			return
		case got != "WATCHDOG=1" && !strings.HasPrefix(got, "STATUS="):
			m.t.Fatalf("the service manager was told %q, want %s", got, want)
		}
	}
}

// The service is ready when every provider has answered or is parked, gets its
// watchdog fed, and says how it is and that it stops.
func TestServiceManagerIsToldOfReadinessLifeAndEnd(t *testing.T) {
	s := newSite(t, `
accounts:
  main: {provider: schwab, client_id: id, client_secret: secret, redirect_url: "https://127.0.0.1:8182"}
sinks:
  file: {type: file, path: "{account}.json"}
`)
	socket := s.path("notify.sock")
	m := newServiceManager(t, socket)
	s.env = []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=400000"}
	r := startRun(t, s)
	m.hears("READY=1")
	m.hears("STATUS=no token yet: main; valid: 0 of 1")
	st := r.until(func(control.Status) bool { return true })
	if p := provider(st, "schwab"); p.State != "running" || p.PID == 0 {
		t.Errorf("ready although the provider is %s", p.State)
	}
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Stop()
	}()
	m.hears("STOPPING=1")
	m.hears("EXTEND_TIMEOUT_USEC=45000000") // a refresh's 30 s, and 15 s
	m.hears("STATUS=stops")
	<-ended
	s.awaitGone(t)
}
