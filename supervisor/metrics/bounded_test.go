package metrics

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// inMemory is a listener whose connections are pipes, for a bubble.
type inMemory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (m inMemory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m inMemory) Close() error   { close(m.closed); return nil }
func (m inMemory) Addr() net.Addr { return &net.TCPAddr{} }

// fromHost is a connection of one machine.
type fromHost struct {
	net.Conn
	host string
}

func (c fromHost) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.host), Port: 4711}
}

// connect has a machine connect, and returns its end.
func (m inMemory) connect(host string) net.Conn {
	ours, theirs := net.Pipe()
	m.conns <- fromHost{theirs, host}
	synctest.Wait()
	return ours
}

// open says whether the other end has not closed it, of one that was sent nothing.
func isOpen(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	_ = conn.SetReadDeadline(time.Time{})
	return err != io.EOF
}

func asks(t *testing.T, conn net.Conn, path string) (answer string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 15)
	if _, err := io.ReadFull(conn, line); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	synctest.Wait()
	return string(line)
}

// inBubble has a listener answer in a bubble: at "/slow" not before answers is closed.
func inBubble(t *testing.T, test func(t *testing.T, m inMemory, answers chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		m, answers := inMemory{make(chan net.Conn), make(chan struct{})}, make(chan struct{})
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-answers
			}
			_, _ = io.WriteString(w, "hello")
		})
		l := &Listener{handler: func() http.Handler { return handler }, log: slog.New(slog.DiscardHandler), opened: m}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		test(t, m, answers)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Strangers take no more than so many connections, none for long, and none from who asks:
// of those that say nothing the one that has for longest gives way, whether it never said
// anything or has had its answer.
func TestWhoSaysNothingGivesWay(t *testing.T) {
	inBubble(t, func(t *testing.T, m inMemory, _ chan struct{}) {
		var silent []net.Conn
		for range mostConnections {
			silent = append(silent, m.connect("192.0.2.1"))
			time.Sleep(time.Millisecond)
		}
		if got := asks(t, silent[0], "/"); got != "HTTP/1.1 200 OK" { // which is the newest word of all
			t.Errorf("the first: %q", got)
		}
		for n := range 3 {
			if got := asks(t, m.connect("192.0.2.1"), "/"); got != "HTTP/1.1 200 OK" {
				t.Errorf("one more: %q", got)
			}
			if isOpen(silent[n+1]) || !isOpen(silent[n+2]) {
				t.Errorf("after %d more another one gave way than who has said nothing for longest", n+1)
			}
		}
		time.Sleep(headerTimeout + time.Second)
		if slices.ContainsFunc(silent[1:], isOpen) {
			t.Error("one that says nothing still has its connection")
		}
	})
}

// Who opens the most connections loses them first, and one machine has one network of
// IPv6.
func TestACrowdGivesWayFirst(t *testing.T) {
	for name, from := range map[string]func(n int) string{
		"an address": func(int) string { return "192.0.2.1" },
		"a network":  func(n int) string { return "2001:db8::" + string("0123456789abcdef"[n%16]) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m inMemory, _ chan struct{}) {
				scraper := m.connect("192.0.2.7") // the oldest of all
				for n := range 3 * mostConnections {
					_ = m.connect(from(n))
				}
				if got := asks(t, scraper, "/"); got != "HTTP/1.1 200 OK" {
					t.Errorf("who is alone: %q", got)
				}
			})
		})
	}
}

// Nobody who is being answered gives way, unless he does not take the answer.
func TestWhoIsAnsweredStays(t *testing.T) {
	inBubble(t, func(t *testing.T, m inMemory, answers chan struct{}) {
		var slow []net.Conn
		for range mostConnections {
			conn := m.connect("192.0.2.1")
			if _, err := io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			slow = append(slow, conn)
		}
		synctest.Wait()               // each has been read to its end, and is being answered
		one := m.connect("192.0.2.1") // accepted, and served when there is room
		time.Sleep(slowAnswer / 2)
		if slices.ContainsFunc(slow, func(c net.Conn) bool { return !isOpen(c) }) {
			t.Error("one gave way that was being answered")
		}
		time.Sleep(slowAnswer)
		if got := asks(t, one, "/"); got != "HTTP/1.1 200 OK" {
			t.Errorf("after a while: %q", got)
		}
		close(answers)
	})
}
