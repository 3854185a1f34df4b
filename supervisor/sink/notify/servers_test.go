package notify_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// inbox is what a receiver has got, and how it behaves.
type inbox struct {
	mu   sync.Mutex
	got  []string
	mode func(net.Conn, http.ResponseWriter) // nil: it takes the message
	hung chan struct{}                       // closed to end what hangs
	// late: the message is taken, and the answer never comes.
	late bool
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{hung: make(chan struct{})}
	t.Cleanup(func() { b.behave(nil) })
	return b
}

// behave sets what happens to the next message, and ends what hangs.
func (b *inbox) behave(mode func(net.Conn, http.ResponseWriter)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mode, b.late = mode, false
	close(b.hung)
	b.hung = make(chan struct{})
}

func (b *inbox) take(message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, message)
}

func (b *inbox) received() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.got...)
}

func (b *inbox) current() (mode func(net.Conn, http.ResponseWriter), hung chan struct{}, late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mode, b.hung, b.late
}

func (b *inbox) setLate() {
	b.behave(b.hang)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = true
}

// hang never answers, until the receiver behaves otherwise.
func (b *inbox) hang(net.Conn, http.ResponseWriter) {
	_, hung, _ := b.current()
	<-hung
}

// reserve is an address that refuses connections until listen is called once. It is
// bound, so that nobody else gets it before.
func reserve(t *testing.T) (host string, listen func(t *testing.T) net.Listener) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = file.Close() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", addr.(*unix.SockaddrInet4).Port), func(t *testing.T) net.Listener {
		if err := unix.Listen(fd, 128); err != nil {
			t.Fatal(err)
		}
		l, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close() // l has one of its own
		return l
	}
}

// httpServer is a receiver of HTTP on an address that is not listened on until
// appear is called.
func httpServer(t *testing.T, b *inbox, answer string) (host string, appear func(t *testing.T)) {
	t.Helper()
	host, listen := reserve(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mode, _, late := b.current()
		if mode == nil || late {
			b.take(fmt.Sprintf("%s %s\n%s\n%s\n%s", r.Method, r.URL.Path, r.Header.Get("Title"), r.Header.Get("Authorization"), body))
		}
		if mode == nil {
			_, _ = io.WriteString(w, answer)
			return
		}
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			mode(conn, nil)
			_ = conn.Close()
		}
	})
	return host, func(t *testing.T) {
		server := &httptest.Server{Listener: listen(t), Config: &http.Server{Handler: handler}}
		server.Start()
		t.Cleanup(func() {
			b.behave(nil)
			server.CloseClientConnections()
			server.Close()
		})
	}
}

// raw answers with these bytes and cuts the connection off.
func raw(text string) func(net.Conn, http.ResponseWriter) {
	return func(conn net.Conn, _ http.ResponseWriter) { _, _ = io.WriteString(conn, text) }
}

func status(line string, headers ...string) func(net.Conn, http.ResponseWriter) {
	return raw("HTTP/1.1 " + line + "\r\n" + strings.Join(append(headers, "Content-Length: 4", "Connection: close"), "\r\n") + "\r\n\r\nno: ")
}

// mailServer is a mail server that speaks as much SMTP (RFC 5321) as a client
// needs. refuse, if set, is its answer to a command.
type mailServer struct {
	*inbox
	refuse func(command string) string
}

func (m *mailServer) serve(t *testing.T, ln net.Listener) {
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { m.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		m.behave(nil)
		all.Wait()
	})
}

// talk is one connection.
func (m *mailServer) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if mode, _, late := m.current(); mode != nil && !late {
		mode(conn, nil)
		return
	}
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	say("220 mail.example ESMTP")
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.ToUpper(strings.TrimSpace(line))
		answer := ""
		if m.refuse != nil {
			answer = m.refuse(command)
		}
		switch verb, _, _ := strings.Cut(command, " "); {
		case answer != "":
			say(answer)
		case verb == "EHLO":
			say("250-mail.example\r\n250 AUTH PLAIN")
		case verb == "AUTH":
			say("235 welcome")
		case verb == "DATA":
			say("354 go on")
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(line)
			}
			m.take(text.String())
			if mode, _, late := m.current(); late {
				mode(conn, nil)
				return
			}
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 well")
		}
	}
}
