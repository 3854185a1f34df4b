package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// realCommand is this binary as a provider, with its directories under dir.

func realCommand(dir string, log *slog.Logger, args ...string) Command {
	return Command{
		Name: "real", Path: "/proc/self/exe", Args: append([]string{"provider"}, args...),
		SpoolDir: filepath.Join(dir, "spool"), Slots: 1, SocketDir: filepath.Join(dir, "sockets"), Log: log,
	}
}

func request(attempt, token, broker string) sdk.RefreshRequest {
	return sdk.RefreshRequest{
		Attempt: sdk.Attempt{ID: attempt, Version: 1, Deadline: time.Now().Add(30 * time.Second)},
		Account: sdk.Account{Name: "a1", Settings: map[string]string{"broker": broker}},
		Token:   sdk.Token{RefreshToken: sdk.NewSecret(token)},
	}
}

// callWork makes the refreshes that a test asks for.

type callWork struct {
	calls   chan sdk.RefreshRequest
	results chan error

	mu       sync.Mutex
	inFlight int
	deadline time.Time
	latest   time.Time
}

func newCallWork() *callWork {
	return &callWork{calls: make(chan sdk.RefreshRequest, 1), results: make(chan error, 10)}
}

func (w *callWork) Run(ctx context.Context, r *sdk.Remote) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case req := <-w.calls:
			w.set(1, req.Attempt.Deadline)
			_, err := r.RefreshAnswer(context.WithoutCancel(ctx), req)
			w.set(0, time.Time{})
			w.results <- err
			if errors.Is(err, sdk.ErrConnection) {
				return err
			}
		}
	}
}

func (w *callWork) set(n int, deadline time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight, w.deadline = n, deadline
	if deadline.After(w.latest) {
		w.latest = deadline
	}
}

func (w *callWork) Latest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

func (w *callWork) InFlight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inFlight
}

func (w *callWork) Deadline() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deadline
}

// broker is the far end of a refresh: a connection is an attempt in flight.

type broker struct {
	net.Listener
	path string
}

func newBroker(t *testing.T) broker {
	t.Helper()
	path := filepath.Join(shortDir(t), "broker")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return broker{l, path}
}

// sent waits until a refresh has been sent, and returns it.

func (b broker) sent(t *testing.T) net.Conn {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := b.Accept(); err == nil {
			accepted <- conn
		}
	}()
	conn := waittest.Receive(t, "a refresh at the broker", accepted)
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return conn
}

// shortDir has a path that fits a socket's.

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// realRig is a member over real processes.

type realRig struct {
	t      *testing.T
	dir    string
	member *Member
	work   *callWork
	events *event.Subscription
	log    *logBuffer
	stop   func()
}

func runReal(t *testing.T, args ...string) *realRig {
	t.Helper()
	r := &realRig{t: t, dir: shortDir(t), work: newCallWork(), log: &logBuffer{written: make(chan struct{}, 1)}}
	log := slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bus := event.NewBus(log, time.Now)
	r.events = bus.Subscribe(100)
	r.member = New(Config{
		Name: "real", Launcher: realCommand(r.dir, log, args...), Work: Refreshing(r.work), Events: bus, Log: log,
		Health: HealthPolicy{DescribeTimeout: time.Minute},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.member.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		select {
		case <-done:
		case <-waittest.Late(t):
			t.Error("the member does not end")
		}
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

// await returns when an event of this type comes.

func (r *realRig) await(want event.Type) event.Event {
	r.t.Helper()
	timeout := waittest.Late(r.t)
	for {
		select {
		case e := <-r.events.C:
			if e.Type == want {
				return e
			}
		case <-timeout:
			r.t.Fatalf("no event %s; status %+v", want, r.member.Status())
		}
	}
}

func (r *realRig) result() error {
	r.t.Helper()
	select {
	case err := <-r.work.results:
		return err
	case <-waittest.Late(r.t):
		r.t.Fatal("the refresh has no result")
		return nil
	}
}

// gone waits until the process pid has ended, for so many beats at most, and returns
// how long that took.
func gone(t *testing.T, pid, beats int) time.Duration {
	t.Helper()
	began := time.Now()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return 0
	}
	if err != nil {
		t.Fatal("pidfd_open: ", err)
	}
	defer unix.Close(fd)
	defer func() { _ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) }() // where it is not gone
	over := func() bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n == 1
	}
	switch {
	case beats > 0:
		waittest.Within(t, beats, fmt.Sprintf("the end of process %d", pid), over)
	case !over():
		t.Fatalf("process %d still runs", pid)
	}
	return time.Since(began)
}

// logBuffer is a log that can be read while it is written.

type logBuffer struct {
	written chan struct{} // signalled with each record
	mu      sync.Mutex
	buf     bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer signal(b.written)
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

// descriptors counts what is open, but for the files without a name by which

// package waittest counts beats.

func descriptors(t *testing.T) (open int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); !strings.HasSuffix(to, " (deleted)") {
			open++
		}
	}
	return open
}

func awaitLog(t *testing.T, log *logBuffer, part string) {
	t.Helper()
	timeout := waittest.Late(t)
	for !strings.Contains(log.String(), part) {
		select {
		case <-log.written:
		case <-timeout:
			t.Fatalf("the log does not hold %q:\n%s", part, log)
		}
	}
}
