package unixsocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

// encode is the message that the consumers of the day read.
func encode(d format.Document) ([]byte, error) {
	m := map[string]any{"access_token": d.AccessToken.Reveal(), "expires_at": d.Expiry.Unix()}
	if !d.RefreshToken.IsZero() {
		m["refresh_token"] = d.RefreshToken.Reveal()
	}
	b, err := json.Marshal(m)
	return append(b, '\n'), err
}

// consumer is a bot: it takes one recv of 4096 bytes from each connection and
// answers.
type consumer struct {
	t        *testing.T
	path     string
	listener net.Listener

	mu       sync.Mutex
	answer   func(net.Conn, []byte)
	recv     func(net.Conn) ([]byte, error)
	received []string
}

// once is how bots read: one recv.
func once(conn net.Conn) ([]byte, error) {
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	return buf[:n], err
}

// bytewise reads slowly, until it has a whole object.
func bytewise(conn net.Conn) (got []byte, err error) {
	for buf := make([]byte, 1); err == nil && !json.Valid(got); runtime.Gosched() {
		if _, err = conn.Read(buf); err == nil {
			got = append(got, buf[0])
		}
	}
	return got, err
}

// anew has it end, which removes its socket, and start again.
func (c *consumer) anew(t *testing.T) {
	if err := c.listener.Close(); err != nil {
		t.Fatal(err)
	}
	c.listen(t)
}

func (c *consumer) listen(t *testing.T) {
	l, err := net.Listen("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	c.listener = l
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { c.serve(conn) })
		}
	})
}

func (c *consumer) serve(conn net.Conn) {
	defer conn.Close()
	c.mu.Lock()
	recv := c.recv
	c.mu.Unlock()
	msg, err := recv(conn)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.received = append(c.received, string(msg))
	answer := c.answer
	c.mu.Unlock()
	answer(conn, msg)
}

func (c *consumer) reads(recv func(net.Conn) ([]byte, error)) func(*testing.T) {
	return func(*testing.T) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.recv = recv
	}
}

// mend makes it the bot again that it was, on its path.
func (c *consumer) mend(t *testing.T) {
	c.set(say("OK"))(t)
	c.reads(once)(t)
	if conn, err := net.Dial("unix", c.path); err == nil {
		_ = conn.Close()
		return
	}
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	c.listen(t)
}

func (c *consumer) set(answer func(net.Conn, []byte)) func(*testing.T) {
	return func(*testing.T) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answer = answer
	}
}

func (c *consumer) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.received...)
}

// say answers with the parts, one write each.
func say(parts ...string) func(net.Conn, []byte) {
	return func(conn net.Conn, _ []byte) {
		for _, p := range parts {
			_, _ = conn.Write([]byte(p))
		}
	}
}

// hang waits until the other side closes.
func hang(conn net.Conn, _ []byte) { _, _ = conn.Read(make([]byte, 1)) }

func echo(conn net.Conn, msg []byte) { _, _ = conn.Write(msg) }

func newConsumer(t *testing.T) *consumer {
	// t.TempDir can be too long for a socket's path.
	dir, err := os.MkdirTemp("", "tk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &consumer{t: t, path: filepath.Join(dir, "s"), answer: say("OK"), recv: once}
}

func newSink(t *testing.T, cfg unixsocket.Config) *unixsocket.Sink {
	t.Helper()
	if cfg.Encode == nil {
		cfg.Encode = encode
	}
	s, err := unixsocket.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	const timeout = 200 * time.Millisecond
	sinktest.Run(t, sinktest.Suite{New: func(t *testing.T) sinktest.Destination {
		c := newConsumer(t)
		return sinktest.Destination{
			Sink:     newSink(t, unixsocket.Config{Path: c.path, Timeout: timeout}),
			Appear:   c.listen,
			Missing:  sink.ErrAbsent,
			Received: func(*testing.T) []string { return c.got() },
			Hang:     c.set(hang),
			Anew:     c.anew,
			Mend:     c.mend,
			Timeout:  timeout,
			Faults: map[string]sinktest.Fault{
				"echoes the token":     {Case: sinktest.WrongAck, Set: c.set(echo)},
				"wrong answer":         {Case: sinktest.WrongAck, Set: c.set(say("ERROR"))},
				"answer in lower case": {Case: sinktest.WrongAck, Set: c.set(say("ok"))},
				"longer answer":        {Case: sinktest.WrongAck, Set: c.set(say("OKAY"))},
				"half an answer":       {Case: sinktest.ResetInAnswer, Set: c.set(say("O"))},
				"reads a part only": {Case: sinktest.ResetInAnswer, Set: c.reads(func(conn net.Conn) ([]byte, error) {
					_, _ = conn.Read(make([]byte, 10))
					return nil, errors.New("it hangs up")
				})},
				"never answers":        {Case: sinktest.NoAck, Set: c.set(hang)},
				"answers too late":     {Case: sinktest.LateAnswer, Set: c.set(func(conn net.Conn, msg []byte) { hang(conn, msg); say("OK")(conn, msg) })},
				"byte by byte":         {Case: sinktest.SlowReader, Harmless: true, Set: c.reads(bytewise)},
				"it has no room":       {Case: sinktest.FullDisk, Set: c.set(say("ERROR: no space left on device"))},
				"half an answer, hang": {Set: c.set(func(conn net.Conn, msg []byte) { say("O")(conn, msg); hang(conn, msg) })},
				"only white space":     {Set: c.set(say(strings.Repeat("\n", 1000)))},
				"no answer":            {Set: c.set(say())},
				"answers for ever": {Set: c.set(func(conn net.Conn, _ []byte) {
					for {
						if _, err := conn.Write([]byte("no ")); err != nil {
							return
						}
					}
				})},
				"stale socket": {Set: func(t *testing.T) {
					if err := os.Remove(c.path); err != nil {
						t.Fatal(err)
					}
					l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.path, Net: "unix"})
					if err != nil {
						t.Fatal(err)
					}
					l.SetUnlinkOnClose(false)
					_ = l.Close()
				}, Want: sink.ErrAbsent},
				"a file is there": {Set: func(t *testing.T) {
					if err := errors.Join(os.Remove(c.path), os.WriteFile(c.path, nil, 0o600)); err != nil {
						t.Fatal(err)
					}
				}, Want: sink.ErrAbsent},
			},
		}
	}, Never: map[sinktest.Case]string{
		sinktest.HTTPRedirect: noHTTP, sinktest.HTTPClientError: noHTTP, sinktest.HTTPServerError: noHTTP,
	}})
}

const noHTTP = "it speaks no HTTP"

func TestNoticesAreTold(t *testing.T) {
	c := newConsumer(t)
	c.listen(t)
	s := newSink(t, unixsocket.Config{Path: c.path})
	for want, n := range map[string]sink.Notice{
		`{"kind":"alert","id":"msg_alert_a_1","alert":{"key":"needs_login:a",`: sinktest.Alert("a", 1),
		`{"kind":"lifecycle","id":"msg_lifecycle_a_2","event":{"seq":2,`:       sinktest.Lifecycle("a", 2),
	} {
		if err := s.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if got := c.got(); !strings.HasPrefix(got[len(got)-1], want) {
			t.Errorf("received %s, want %s", got[len(got)-1], want)
		}
	}
	long := sinktest.Alert("a", 1)
	long.Alert.Message = strings.Repeat("x", unixsocket.MessageLimit)
	if err := s.Notify(t.Context(), long); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("a notice that is too long: %v", err)
	}
}

func TestTestSendsTheNewest(t *testing.T) {
	c := newConsumer(t)
	c.listen(t)
	d := sinktest.Full("a", 7)
	for ack, want := range map[string]string{unixsocket.AckOK: "answered OK", unixsocket.AckNone: "no answer is expected"} {
		done, err := newSink(t, unixsocket.Config{Path: c.path, Ack: ack}).Test(t.Context(), d)
		if err != nil || !strings.Contains(done, want) || !strings.Contains(done, "version 7 of account a again") {
			t.Errorf("%s: %s, %v", ack, done, err)
		}
	}
	c.set(say("ERROR"))(t)
	if done, err := newSink(t, unixsocket.Config{Path: c.path}).Test(t.Context(), d); err == nil {
		t.Errorf("a consumer that refuses it: %s", done)
	}
}

func TestMessageIsOneObjectWithoutLineEnd(t *testing.T) {
	c := newConsumer(t)
	c.listen(t)
	d := sinktest.Full("a", 1)
	if err := newSink(t, unixsocket.Config{Path: c.path}).Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got := c.got()
	if len(got) != 1 || !strings.HasPrefix(got[0], "{") || !strings.HasSuffix(got[0], "}") {
		t.Fatalf("received %q", got)
	}
	var m struct {
		AccessToken string `json:"access_token"`
		ExpiresAt   int64  `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(got[0]), &m); err != nil || m.AccessToken != d.Document.AccessToken.Reveal() || m.ExpiresAt != d.Document.Expiry.Unix() {
		t.Errorf("received %+v, %v", m, err)
	}
}

func TestAnswersThatCount(t *testing.T) {
	for _, parts := range [][]string{{"OK"}, {"O", "K"}, {"OK\n"}, {"OK\r\n"}} {
		c := newConsumer(t)
		c.listen(t)
		c.set(func(conn net.Conn, msg []byte) {
			say(parts...)(conn, msg)
			hang(conn, msg) // the sink does not wait for the end
		})(t)
		if err := newSink(t, unixsocket.Config{Path: c.path}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
			t.Errorf("%q: %v", parts, err)
		}
	}
}

func TestAckNone(t *testing.T) {
	c := newConsumer(t)
	c.listen(t)
	read := make(chan struct{})
	c.set(func(conn net.Conn, msg []byte) { hang(conn, msg); close(read) })(t)
	if err := newSink(t, unixsocket.Config{Path: c.path, Ack: unixsocket.AckNone}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Fatal(err)
	}
	<-read
	if len(c.got()) != 1 {
		t.Error("the token did not arrive")
	}
}

func TestLongMessageIsRefused(t *testing.T) {
	c := newConsumer(t)
	c.listen(t)
	for size, refused := range map[int]bool{4095: false, 4096: true, 10_000: true} {
		s := newSink(t, unixsocket.Config{Path: c.path, Encode: func(format.Document) ([]byte, error) {
			return []byte(strings.Repeat("x", size)), nil
		}})
		err := s.Deliver(t.Context(), sinktest.Bare("a", 1))
		if errors.Is(err, sink.ErrRefused) != refused || (err == nil) == refused {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for _, got := range c.got() {
		if len(got) != 4095 {
			t.Errorf("%d bytes were sent", len(got))
		}
	}
}

// TestLongerMessages: a consumer whose recv takes more gets more.
func TestLongerMessages(t *testing.T) {
	size := 8191
	s := newSink(t, unixsocket.Config{Path: filepath.Join(t.TempDir(), "none"), MaxBytes: 8192, Encode: func(format.Document) ([]byte, error) {
		return []byte(strings.Repeat("x", size)), nil
	}})
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); errors.Is(err, sink.ErrRefused) {
		t.Errorf("%d bytes: %v", size, err)
	}
	size++
	err := s.Deliver(t.Context(), sinktest.Bare("a", 1))
	if !errors.Is(err, sink.ErrRefused) || !strings.Contains(err.Error(), "the message has 8192 bytes, and its reader takes fewer than 8192 at once (max_bytes)") {
		t.Errorf("%d bytes: %v", size, err)
	}
}

func TestNewChecks(t *testing.T) {
	for name, cfg := range map[string]unixsocket.Config{
		"no path":     {Encode: encode},
		"long path":   {Path: "/" + strings.Repeat("x", 107), Encode: encode},
		"no format":   {Path: "/x"},
		"unknown ack": {Path: "/x", Encode: encode, Ack: "yes"},
	} {
		if _, err := unixsocket.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEncodingFailsIsRefused(t *testing.T) {
	s := newSink(t, unixsocket.Config{Path: "/nowhere", Encode: func(format.Document) ([]byte, error) { return nil, errors.New("no expiry") }})
	if err := s.Deliver(context.Background(), sinktest.Bare("a", 1)); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("got %v", err)
	}
}
