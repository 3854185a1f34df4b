// Package unixsocket is the sink that connects to a consumer's Unix socket and
// hands it each new token as one JSON object.
package unixsocket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/inotify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// What the consumer answers.
const (
	// AckOK: "OK", and until it came the token counts as not delivered. White
	// space may follow it.
	AckOK = "ok"
	// AckNone: nothing. The token counts as delivered once it is written.
	AckNone = "none"
)

// MessageLimit: unless MaxBytes says otherwise a message is shorter than this many
// bytes, because its reader takes one recv of 4096 and could not tell whether more
// follows.
const MessageLimit = 4096

// DefaultTimeout of one try.
const DefaultTimeout = 5 * time.Second

// pathLimit of a Unix socket's address on Linux (sun_path, with its final
// zero).
const pathLimit = 108

// Config is one Unix-socket sink.
type Config struct {
	// Path of the consumer's socket.
	Path string
	// Encode makes the message: one JSON object. A line end after it is not
	// sent.
	Encode func(format.Document) ([]byte, error)
	// Ack is AckOK or AckNone; "": AckOK.
	Ack string
	// Timeout of one try, from connecting to the answer; 0: DefaultTimeout.
	Timeout time.Duration
	// MaxBytes: a message is shorter than this; 0: MessageLimit.
	MaxBytes int
	// AllowUIDs may serve the socket, beside root, the user that runs this
	// process and the owner of a folder that nobody else can write to.
	AllowUIDs []int
}

// Sink connects anew for each delivery, sends one message in one write and
// reads the answer. It implements [sink.Sink], [sink.Notifier], [sink.Tester]
// and, where the system can tell that a socket appears, [sink.Waiter],
// [sink.Watcher] and [sink.Recipient].
type Sink struct {
	cfg Config
	// inotify is the sink's own: a folder that hangs holds up nobody else's.
	inotify inotify.Instance

	// stale is what stood at the path when nobody listened there; nil:
	// nothing did.
	mu    sync.Mutex
	stale fs.FileInfo
}

var (
	_ sink.Sink     = (*Sink)(nil)
	_ sink.Notifier = (*Sink)(nil)
	_ sink.Tester   = (*Sink)(nil)
)

// New checks cfg and connects to nothing.
func New(cfg Config) (*Sink, error) {
	if cfg.Ack == "" {
		cfg.Ack = AckOK
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = MessageLimit
	}
	switch {
	case cfg.Path == "":
		return nil, errors.New("a Unix-socket sink needs the path of the consumer's socket")
	case len(cfg.Path) >= pathLimit:
		return nil, fmt.Errorf("path: it has %d bytes, and a Unix socket's may have %d: choose a shorter one", len(cfg.Path), pathLimit-1)
	case cfg.Encode == nil:
		return nil, errors.New("a Unix-socket sink needs a format")
	case cfg.Ack != AckOK && cfg.Ack != AckNone:
		return nil, fmt.Errorf("ack: %q is unknown: use %q or %q", cfg.Ack, AckOK, AckNone)
	}
	return &Sink{cfg: cfg}, nil
}

// Address implements [sink.Addressed]: of a socket in a folder, [Sink.Recipient] says more,
// and of an abstract one nothing.
func (s *Sink) Address() string {
	if s.cfg.Path[0] != '@' {
		return ""
	}
	return sink.AddressOf("unixsocket", s.cfg.Path)
}

// Deliver makes one try.
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	msg, err := s.cfg.Encode(d.Document)
	if err != nil {
		return fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	return s.send(ctx, msg, "leave the refresh token out, or use a file sink")
}

// Notify sends what [sink.Notice] is as JSON, which has a "kind". The consumer
// answers it like a token.
func (s *Sink) Notify(ctx context.Context, n sink.Notice) error {
	msg, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("%w: the notice can't be written as JSON", sink.ErrRefused)
	}
	return s.send(ctx, msg, "or send notices to a sink of another type")
}

// Test sends the newest token again: a consumer gets that at every restart of
// the supervisor too, while a connection that says nothing is what many take
// for an error, after which some end.
func (s *Sink) Test(ctx context.Context, d sink.Delivery) (done string, err error) {
	if err := s.Deliver(ctx, d); err != nil {
		return "", err
	}
	answer := "the consumer answered OK"
	if s.cfg.Ack == AckNone {
		answer = "no answer is expected (ack: none)"
	}
	return fmt.Sprintf("sent version %d of account %s again to %s; %s", d.Version, d.Document.Account, s.cfg.Path, answer), nil
}

// send connects, writes one message and reads the answer. shorten says what to
// do about one that is too long.
func (s *Sink) send(ctx context.Context, msg []byte, shorten string) error {
	msg = bytes.TrimRight(msg, "\r\n")
	if len(msg) >= s.cfg.MaxBytes {
		return fmt.Errorf("%w: the message has %d bytes, and its reader takes fewer than %d at once (max_bytes): set max_bytes to what its recv takes, %s",
			sink.ErrRefused, len(msg), s.cfg.MaxBytes, shorten)
	}

	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	before, _ := os.Lstat(s.cfg.Path)
	conn, err := localsocket.Dial(ctx, s.cfg.Path, s.cfg.AllowUIDs)
	if refused := s.untrusted(err); refused != nil {
		return refused
	}
	if err != nil {
		s.mu.Lock()
		s.stale = before
		s.mu.Unlock()
		return s.explain(ctx, err)
	}
	defer conn.Close()
	// The deadline of ctx, or its earlier end, ends every read and write.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if _, err := conn.Write(msg); err != nil {
		return s.explain(ctx, err)
	}
	if s.cfg.Ack == AckNone {
		return nil
	}
	if err := readOK(conn); err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

// untrusted is the error about a socket that somebody serves, or has made a link to,
// who is not trusted; nil: it is another one.
func (s *Sink) untrusted(err error) error {
	if peer, ok := errors.AsType[*trust.PeerRefusal](err); ok {
		return fmt.Errorf("%w; if that is the right one, write allow_uids: [%s]", err, peer.Key)
	}
	if refusal := (*trust.Refusal)(nil); errors.As(err, &refusal) {
		return err
	}
	return nil
}

// errAnswer is a wrong answer. It says only how long it was: a consumer may
// send back what it got.
type errAnswer struct{ bytes int }

func (e errAnswer) Error() string {
	if e.bytes == 0 {
		return `the consumer closed the connection without answering "OK": see its log, or set ack: none if it never answers`
	}
	return fmt.Sprintf(`the consumer's answer (%d bytes or more) is not "OK": see its log`, e.bytes)
}

// readOK reads until the answer is "OK" or can't become it. It does not wait
// for the consumer to close.
func readOK(conn io.Reader) error {
	buf := make([]byte, 64)
	n := 0
	for {
		m, err := conn.Read(buf[n:])
		n += m
		got := strings.TrimRight(string(buf[:n]), " \t\r\n\x00")
		switch {
		case got == "OK":
			return nil
		case !strings.HasPrefix("OK", got) || n == len(buf), errors.Is(err, io.EOF):
			return errAnswer{n}
		case err != nil:
			return err
		}
	}
}

// explain turns a failed call into an error that says what to do.
func (s *Sink) explain(ctx context.Context, err error) error {
	var wrong errAnswer
	switch {
	case errors.As(err, &wrong):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens on %s", sink.ErrAbsent, s.cfg.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the user that runs Tokenkeeper may not connect to %s: it needs write permission on the socket and search permission on the directories above: %w", s.cfg.Path, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
		return fmt.Errorf("the consumer on %s did not answer in time (at most %s): %w", s.cfg.Path, s.cfg.Timeout, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("the connection to %s failed: %w", s.cfg.Path, err)
}
