package unixsocket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
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
	// TrustFolder takes a directory that others may write into.
	TrustFolder bool
	// Mode of the socket; 0: 0600.
	Mode fs.FileMode
	// AllowUIDs may connect, beside our own user and root.
	AllowUIDs []int
	// Timeout is how long a consumer may leave unread what it was sent; 0:
	// DefaultTimeout. For the newest tokens of all accounts, at the beginning,
	// it has 10 ms more for each.
	Timeout time.Duration
	// MaxConsumers at once; 0: DefaultMaxConsumers.
	MaxConsumers int
}

// Listener is the sink that consumers connect to. Each gets the newest token of
// every account at once and every later one when there is one, each version
// once unless a person wants it delivered again, and each as a JSON object in a line of its own. What a consumer sends is
// not looked at. The last line of one that is turned away or dropped is
// {"error": "…"}. If the sink is told of alerts or lifecycle events too, they
// are lines with a "kind", as [sink.Notice] is as JSON, which go to those who
// are connected; no line with a token has a "kind".
//
// A token or a notice counts as delivered when it was written to every consumer
// that is connected; nobody: [sink.ErrAbsent]. A consumer that does not read is
// dropped, and one that was dropped or has left does not count.
//
// It implements [sink.Sink], [sink.Server], [sink.Waiter], [sink.Notifier],
// [sink.Tester] and [sink.Addressed], and holds no token.
type Listener struct {
	cfg ListenConfig
	// look asks for a look whether our socket still stands at its path.
	look chan struct{}

	mu        sync.Mutex
	consumers map[*consumer]struct{}
	came      chan struct{} // closed when a consumer comes
	broken    error         // why nobody can connect
	news      *func(account string)
}

var (
	_ sink.Sink     = (*Listener)(nil)
	_ sink.Server   = (*Listener)(nil)
	_ sink.Waiter   = (*Listener)(nil)
	_ sink.Notifier = (*Listener)(nil)
	_ sink.Tester   = (*Listener)(nil)

	_ sink.Addressed = (*Listener)(nil)
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
	return &Listener{cfg: cfg, look: make(chan struct{}, 1), consumers: map[*consumer]struct{}{}, came: make(chan struct{})}, nil
}

// Address implements [sink.Addressed].
func (l *Listener) Address() string { return sink.AddressOf("unixsocket listen", l.cfg.Path) }

func (l *Listener) line(d sink.Delivery) (line, error) {
	msg, err := l.cfg.Encode(d.Document)
	if err != nil {
		return line{}, fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	msg = bytes.TrimRight(msg, "\r\n")
	if bytes.ContainsAny(msg, "\r\n") {
		return line{}, fmt.Errorf("%w: its format has several lines", sink.ErrRefused)
	}
	return line{append(msg, '\n'), d.Document.Account, d.Version, d.Again, "account " + d.Document.Account}, nil
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
	return l.sendAll(ctx, line)
}

// Notify writes to every consumer that is connected. One that comes later does
// not hear of it.
func (l *Listener) Notify(ctx context.Context, n sink.Notice) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("%w: the notice can't be written as JSON", sink.ErrRefused)
	}
	return l.sendAll(ctx, line{text: append(text, '\n'), about: "a notice"})
}

// Test tells how many consumers are connected, and sends nothing: they have the
// newest token already.
func (l *Listener) Test(ctx context.Context, _ sink.Delivery) (done string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	consumers, err := l.connected()
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	broken := l.broken
	l.mu.Unlock()
	if broken != nil {
		return "", fmt.Errorf("%d are connected, but nobody else can connect: %w", len(consumers), broken)
	}
	return fmt.Sprintf("%d connected to %s; nothing was sent, as each has been given the newest token", len(consumers), l.cfg.Path), nil
}

func (l *Listener) sendAll(ctx context.Context, line line) error {
	consumers, err := l.connected()
	if err != nil {
		return err
	}
	results := make(chan error, len(consumers))
	for _, c := range consumers {
		go func() { results <- c.send(ctx, line, l.cfg.Timeout) }()
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

// connected are all consumers, at least one.
func (l *Listener) connected() ([]*consumer, error) {
	select { // a removal that could not be watched is seen now
	case l.look <- struct{}{}:
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.consumers) == 0 && l.broken != nil {
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
