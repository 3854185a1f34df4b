package unixsocket_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// shelf stands in for the store: what a consumer gets that comes.
type shelf struct {
	mu   sync.Mutex
	has  []sink.Delivery
	fail error
}

func (s *shelf) put(ds ...sink.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has = ds
}

func (s *shelf) newest(context.Context) iter.Seq2[sink.Delivery, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	has, fail := s.has, s.fail
	return func(yield func(sink.Delivery, error) bool) {
		if fail != nil {
			yield(sink.Delivery{}, fail)
			return
		}
		for _, d := range has {
			if !yield(d, nil) {
				return
			}
		}
	}
}

type listening struct {
	*unixsocket.Listener
	path  string
	shelf shelf
	stop  func()
}

func listen(t *testing.T, cfg unixsocket.ListenConfig) *listening {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = newConsumer(t).path
	}
	if cfg.Encode == nil {
		cfg.Encode = encode
	}
	s, err := unixsocket.NewListener(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &listening{Listener: s, path: cfg.Path}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l.shelf.newest) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-waittest.Late(t):
			t.Error("Serve did not end")
		}
	})
	t.Cleanup(l.stop)
	return l
}

// connect returns a connection that the sink knows of.
func (l *listening) connect(t *testing.T) *net.UnixConn {
	t.Helper()
	conn := l.dial(t)
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	if err := l.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (l *listening) dial(t *testing.T) *net.UnixConn {
	t.Helper()
	for late := waittest.Late(t); ; {
		conn, err := net.Dial("unix", l.path)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			waittest.Limit(t, conn)
			return conn.(*net.UnixConn)
		}
		select {
		case <-late:
			t.Fatal(err)
		default:
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		runtime.Gosched() // Serve is about to open it
	}
}

// drain returns what has been written to the connection until now.
func drain(t *testing.T, conn *net.UnixConn) string {
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	buf := make([]byte, 1<<16)
	_ = raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), buf)
			if n <= 0 || err != nil {
				return true
			}
			got.Write(buf[:n])
		}
	})
	return got.String()
}

func lineOf(t *testing.T, r *bufio.Reader) map[string]any {
	t.Helper()
	line, err := r.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, line)
	}
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return m
}

func TestListenContract(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second // who was dropped for being late on a busy machine gets no second try
	sinktest.Run(t, sinktest.Suite{New: func(t *testing.T) sinktest.Destination {
		var padding atomic.Int64
		l := listen(t, unixsocket.ListenConfig{Timeout: timeout, Encode: func(d format.Document) ([]byte, error) {
			b, err := encode(d)
			return append(bytes.TrimSpace(b), bytes.Repeat([]byte(" "), int(padding.Load()))...), err
		}})
		l.shelf.put(sinktest.Bare("greeting", 1))
		var conn *net.UnixConn
		var got []string
		appear := func(t *testing.T) {
			conn = l.dial(t)
			lineOf(t, bufio.NewReader(conn)) // now the sink has taken it
		}
		return sinktest.Destination{
			Sink:    l,
			Appear:  appear,
			Mend:    func(t *testing.T) { padding.Store(0); appear(t) },
			Missing: sink.ErrAbsent,
			Received: func(t *testing.T) []string {
				for line := range strings.Lines(drain(t, conn)) {
					got = append(got, line)
				}
				return got
			},
			Hang:    func(t *testing.T) { l.fill(t, &padding) },
			Timeout: timeout,
			Faults: map[string]sinktest.Fault{
				"hung up":                    {Set: func(*testing.T) { _ = conn.Close() }, Want: sink.ErrAbsent},
				"longer than a socket holds": {Case: sinktest.SlowReader, Set: func(*testing.T) { padding.Store(1 << 20) }},
				"has not read the last ones yet": {Case: sinktest.SlowReader, Harmless: true, Set: func(t *testing.T) {
					for v := range uint64(10) {
						if err := l.Deliver(t.Context(), sinktest.Bare("other", v+1)); err != nil {
							t.Fatal(err)
						}
					}
				}},
				"says something": {Case: sinktest.WrongAck, Harmless: true, Set: func(t *testing.T) {
					if _, err := conn.Write([]byte("ERROR\n")); err != nil {
						t.Fatal(err)
					}
				}},
			},
		}
	}, Never: map[sinktest.Case]string{
		sinktest.HTTPRedirect: noHTTP, sinktest.HTTPClientError: noHTTP, sinktest.HTTPServerError: noHTTP,
		sinktest.ResetInAnswer: noAnswer, sinktest.LateAnswer: noAnswer, sinktest.NoAck: noAnswer,
		sinktest.FullDisk: "nothing is written to a disk",
	}})
}

// noAnswer is why much can't happen to consumers that connect.
const noAnswer = "a consumer that connects is asked for no answer"

// fill leaves no room in the sockets of consumers that do not read.
func (l *listening) fill(t *testing.T, padding *atomic.Int64) {
	t.Helper()
	padding.Store(4000)
	defer padding.Store(0)
	// One that was only late, on a busy machine, is no sign.
	for v, full := uint64(1), 0; full < 3; v++ {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := l.Deliver(ctx, sinktest.Bare("filling", v))
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			full++
		case err != nil:
			t.Fatal(err)
		default:
			full = 0
		}
	}
}

func TestConsumersGetTheNewestAtOnceAndEveryLaterOne(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	l.shelf.put(sinktest.Bare("a", 3), sinktest.Bare("b", 1))
	one, two := bufio.NewReader(l.connect(t)), bufio.NewReader(l.connect(t))
	want := func(account string, version uint64) {
		t.Helper()
		for i, r := range []*bufio.Reader{one, two} {
			if m := lineOf(t, r); m["access_token"] != sinktest.Bare(account, version).Document.AccessToken.Reveal() {
				t.Errorf("consumer %d got %v, want version %d of %s", i, m, version, account)
			}
		}
	}
	want("a", 3)
	want("b", 1)
	for _, d := range []sink.Delivery{sinktest.Bare("a", 3), sinktest.Bare("a", 2), sinktest.Bare("a", 4), sinktest.Bare("b", 2)} {
		if err := l.Deliver(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
	want("a", 4) // neither 3 again nor 2 after it
	want("b", 2)
	l.stop()
	if _, err := one.ReadByte(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := os.Lstat(l.path); err == nil {
		t.Error("the socket is left behind")
	}
}

func TestListenSocketsModeAndPlace(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{Mode: 0o660})
	l.connect(t)
	if info, err := os.Stat(l.path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	second, err := unixsocket.NewListener(unixsocket.ListenConfig{Path: l.path, Encode: encode})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Serve(t.Context(), l.shelf.newest); err == nil || !strings.Contains(err.Error(), "another program answers") {
		t.Errorf("a socket in use: %v", err)
	}
	if err := second.Deliver(t.Context(), sinktest.Bare("a", 1)); err == nil || errors.Is(err, sink.ErrAbsent) {
		t.Errorf("a delivery where nobody can connect: %v", err)
	}
	for name, cfg := range map[string]unixsocket.ListenConfig{
		"no path":   {Encode: encode},
		"long path": {Path: "/" + strings.Repeat("x", 107), Encode: encode},
		"no format": {Path: "/x"},
		"odd mode":  {Path: "/x", Encode: encode, Mode: os.ModeSticky},
	} {
		if _, err := unixsocket.NewListener(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The worker runs the socket, and the ledger says who has which token: nobody,
// until somebody comes.
func TestWorkerServes(t *testing.T) {
	path := newConsumer(t).path
	l, err := unixsocket.NewListener(unixsocket.ListenConfig{Path: path, Encode: encode})
	if err != nil {
		t.Fatal(err)
	}
	rec := store.Record{Account: "a", Version: 1, Grant: 1, StoredAt: time.Now(), Token: sdk.Token{AccessToken: sdk.NewSecret("first"), RefreshToken: sdk.NewSecret("CANARY")}}
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	events := bus.Subscribe(100)
	w := sink.NewWorker(sink.WorkerConfig{Name: "feed", Sink: l, Store: holding(t, rec), Events: bus})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	next := func(want event.Type) {
		t.Helper()
		e := waittest.Receive(t, "an event "+string(want), events.C)
		if e.Type != want {
			t.Errorf("event %s, want %s: %s", e.Type, want, e.Message)
		}
	}
	next(event.SinkAbsent)
	if st := w.Status("a"); !st.Absent || st.Version != 0 {
		t.Errorf("status %+v", st)
	}
	conn := (&listening{Listener: l, path: path}).dial(t)
	r := bufio.NewReader(conn)
	if m := lineOf(t, r); m["access_token"] != "first" || m["refresh_token"] != nil {
		t.Errorf("got %v", m)
	}
	next(event.Delivered)
	cancel()
	<-done
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("got more than the one line, or %v", err)
	}
}

// What a person wants delivered again reaches whoever is connected and has it;
// nothing older ever does.
func TestRedeliveryReachesTheConnected(t *testing.T) {
	l := listen(t, unixsocket.ListenConfig{})
	l.shelf.put(sinktest.Bare("main", 2))
	conn := l.dial(t)
	in := bufio.NewReader(conn)
	first := lineOf(t, in)
	deliver := func(version uint64, again bool) {
		d := sinktest.Bare("main", version)
		d.Again = again
		if err := l.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	deliver(2, false)
	if got := drain(t, conn); got != "" {
		t.Errorf("it has this version, and got %s", got)
	}
	deliver(1, true)
	if got := drain(t, conn); got != "" {
		t.Errorf("it has a newer version, and got %s", got)
	}
	deliver(2, true)
	if second := lineOf(t, in); !maps.Equal(second, first) {
		t.Errorf("delivered again: %v, want %v", second, first)
	}
}
