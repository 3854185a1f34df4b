package unixsocket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// DefaultMaxConsumers that are connected at once.
const DefaultMaxConsumers = 64

// ListenConfig is one sink that consumers connect to.
type ListenConfig struct {
	// Path of our socket. Its directory must exist.
	Path string
	// Encode makes a message: one JSON object in one line.
	Encode func(format.Document) ([]byte, error)
	// Mode of the socket; 0: 0600.
	Mode fs.FileMode
	// AllowUIDs may connect, beside our own user and root.
	AllowUIDs []uint32
	// Timeout is how long a consumer may leave unread what it was sent; 0:
	// DefaultTimeout.
	Timeout time.Duration
	// MaxConsumers at once; 0: DefaultMaxConsumers.
	MaxConsumers int
}

// Listener is the sink that consumers connect to. Each gets the newest token of
// every account at once and every later one when there is one, each as a JSON
// object in a line of its own. What a consumer sends is not looked at. The last
// line of one that is turned away or dropped is {"error": "…"}.
//
// A token counts as delivered when it was written to every consumer that is
// connected; nobody: [sink.ErrAbsent]. A consumer that does not read is dropped,
// and one that was dropped or has left does not count.
//
// It implements [sink.Sink], [sink.Server] and [sink.Waiter], and holds no token.
type Listener struct {
	cfg ListenConfig

	mu        sync.Mutex
	consumers map[*consumer]struct{}
	came      chan struct{} // closed when a consumer comes
	broken    error         // why nobody can connect
}

var (
	_ sink.Sink   = (*Listener)(nil)
	_ sink.Server = (*Listener)(nil)
	_ sink.Waiter = (*Listener)(nil)
)

// NewListener checks cfg; nobody can connect before [Listener.Serve].
func NewListener(cfg ListenConfig) (*Listener, error) {
	if cfg.Mode == 0 {
		cfg.Mode = 0o600
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxConsumers <= 0 {
		cfg.MaxConsumers = DefaultMaxConsumers
	}
	switch {
	case cfg.Path == "":
		return nil, errors.New("a Unix-socket sink needs a path for its socket")
	case len(cfg.Path) >= pathLimit:
		return nil, fmt.Errorf("path: it has %d bytes, and a Unix socket's may have %d: choose a shorter one", len(cfg.Path), pathLimit-1)
	case cfg.Encode == nil:
		return nil, errors.New("a Unix-socket sink needs a format")
	case cfg.Mode&^fs.ModePerm != 0:
		return nil, fmt.Errorf("mode %o is more than permissions: use e.g. 0660", uint32(cfg.Mode))
	}
	return &Listener{cfg: cfg, consumers: map[*consumer]struct{}{}, came: make(chan struct{})}, nil
}

// Serve opens the socket and takes consumers until ctx ends; then all are
// disconnected and the socket is gone.
func (l *Listener) Serve(ctx context.Context, newest func(context.Context) iter.Seq2[sink.Delivery, error]) error {
	ln, err := localsocket.Listen(l.cfg.Path, localsocket.Options{Name: "the sink's socket", Key: "its path", Mode: l.cfg.Mode})
	l.mu.Lock()
	l.broken = err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer func() { stop(); _ = ln.Close() }()
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("taking a connection on %s: %w", l.cfg.Path, err)
		}
		conns.Go(func() { l.take(ctx, conn.(*net.UnixConn), newest) })
	}
}

// take looks after one connection until it ends.
func (l *Listener) take(ctx context.Context, conn *net.UnixConn, newest func(context.Context) iter.Seq2[sink.Delivery, error]) {
	c := newConsumer(conn)
	defer c.close()
	if refusal := l.refuse(conn); refusal != "" {
		c.farewell(refusal)
		return
	}
	// It has the turn from the beginning: what is delivered from now on is
	// written after what the store holds now.
	if !l.enter(c) {
		c.farewell(fmt.Sprintf("%d consumers are connected, and more are not taken: set max_consumers", l.cfg.MaxConsumers))
		return
	}
	defer l.leave(c)
	defer context.AfterFunc(ctx, c.close)()
	if !l.greet(ctx, c, newest) {
		return
	}
	c.giveTurn()
	c.awaitEnd()
}

// refuse says why the peer may not connect, or "".
func (l *Listener) refuse(conn *net.UnixConn) string {
	peer, err := localsocket.PeerOf(conn)
	if err != nil {
		return "it can't be told who connects"
	}
	if peer.UID == 0 || peer.UID == uint32(os.Geteuid()) || slices.Contains(l.cfg.AllowUIDs, peer.UID) {
		return ""
	}
	return fmt.Sprintf("user %d may not connect: add the number to allow_uids", peer.UID)
}

func (l *Listener) enter(c *consumer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.consumers) >= l.cfg.MaxConsumers {
		return false
	}
	l.consumers[c] = struct{}{}
	close(l.came)
	l.came = make(chan struct{})
	return true
}

func (l *Listener) leave(c *consumer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.consumers, c)
}

// greet writes the newest token of every account. The caller has the turn.
func (l *Listener) greet(ctx context.Context, c *consumer, newest func(context.Context) iter.Seq2[sink.Delivery, error]) bool {
	deadline := time.Now().Add(l.cfg.Timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for d, err := range newest(ctx) {
		if err != nil {
			c.farewell("the tokens can't be read just now: connect again")
			return false
		}
		line, err := l.line(d)
		if err != nil {
			continue // Deliver reports it
		}
		if err := c.write(ctx, d, line, deadline); err != nil {
			return false
		}
	}
	return true
}

func (l *Listener) line(d sink.Delivery) ([]byte, error) {
	msg, err := l.cfg.Encode(d.Document)
	if err != nil {
		return nil, fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	msg = bytes.TrimRight(msg, "\r\n")
	if bytes.ContainsAny(msg, "\r\n") {
		return nil, fmt.Errorf("%w: its format has several lines", sink.ErrRefused)
	}
	return append(msg, '\n'), nil
}

// Deliver writes to every consumer that is connected.
func (l *Listener) Deliver(ctx context.Context, d sink.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := l.line(d)
	if err != nil {
		return err
	}
	consumers, err := l.connected()
	if err != nil {
		return err
	}
	results := make(chan error, len(consumers))
	for _, c := range consumers {
		go func() { results <- c.deliver(ctx, d, line, l.cfg.Timeout) }()
	}
	took, slow := 0, 0
	var unfinished error
	for range consumers {
		switch err := <-results; {
		case err == nil:
			took++
		case errors.Is(err, errSlow):
			slow++
		case errors.Is(err, errLeft):
		default:
			unfinished = err
		}
	}
	switch {
	case unfinished != nil:
		return unfinished
	case took > 0:
		return nil
	case slow > 0:
		return fmt.Errorf("no consumer has it: %d on %s did not read within %s and were disconnected: see their logs", slow, l.cfg.Path, l.cfg.Timeout)
	}
	return l.absent()
}

func (l *Listener) absent() error {
	return fmt.Errorf("%w: nobody is connected to %s", sink.ErrAbsent, l.cfg.Path)
}

func (l *Listener) connected() ([]*consumer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, l.broken
	}
	if len(l.consumers) == 0 {
		return nil, l.absent()
	}
	all := make([]*consumer, 0, len(l.consumers))
	for c := range l.consumers {
		all = append(all, c)
	}
	return all, nil
}

// Await blocks until a consumer is connected.
func (l *Listener) Await(ctx context.Context) error {
	l.mu.Lock()
	came, here := l.came, len(l.consumers) > 0
	l.mu.Unlock()
	if here {
		return nil
	}
	select {
	case <-came:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errorLine is the last line of a consumer that is turned away.
func errorLine(reason string) []byte {
	b, err := json.Marshal(struct {
		Error string `json:"error"`
	}{reason})
	if err != nil { // text can always be written
		return nil
	}
	return append(b, '\n')
}
