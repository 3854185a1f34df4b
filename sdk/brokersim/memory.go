package brokersim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Dial connects to the server in memory, whatever the address. It is the
// DialContext of an http.Transport in tests with simulated time, which real
// sockets do not follow. It fails before the connection when the server is
// closed.
func (s *site) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: "memory", Err: errors.New("connection refused: the simulated server at " + address + " is closed")}
	select {
	case <-s.closed:
		return nil, refused
	default:
	}
	client, server := net.Pipe()
	l := &oneConnection{conn: server, closed: make(chan struct{})}
	h := &http.Server{Handler: s.handler}
	h.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			l.Close()
		}
	}
	go func() { // ends with the connection or the server
		defer h.Close()
		h.Serve(l)
	}()
	go func() {
		select {
		case <-s.closed:
			l.Close()
			h.Close()
		case <-l.closed:
		}
	}()
	return client, nil
}

// oneConnection is a listener that accepts conn and nothing else.
type oneConnection struct {
	mu     sync.Mutex
	conn   net.Conn
	end    sync.Once
	closed chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConnection) Close() error {
	l.end.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConnection) Addr() net.Addr { return &net.UnixAddr{Name: "brokersim", Net: "memory"} }
