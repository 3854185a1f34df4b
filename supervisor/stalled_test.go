package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/orphans"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/watchdog"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// stuckLog takes no error before it is let go on: who tells one stands still in the
// middle of his work.
type stuckLog struct {
	slog.Handler
	once      *sync.Once
	stuck, on chan struct{}
}

func (l stuckLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l stuckLog) Handle(context.Context, slog.Record) error {
	l.once.Do(func() { close(l.stuck) })
	<-l.on
	return nil
}

// pings is what the service manager hears.
type pings struct {
	t    *testing.T
	conn *net.UnixConn
}

// newPings makes the test's process a service that is watched.
func newPings(t *testing.T) pings {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "50000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return pings{t, conn}
}

// one waits until the supervisor says that it lives.
func (p pings) one() {
	p.t.Helper()
	buffer := make([]byte, 4096)
	if err := p.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, err := p.conn.Read(buffer)
		if err != nil {
			p.t.Fatalf("the watchdog starves: %v", err)
		}
		if string(buffer[:n]) == "WATCHDOG=1" {
			return
		}
	}
}

// A write to the store that hangs holds the store's lock. Who looks at everything, and
// tells the service manager that the supervisor lives, does not wait for it.
func TestADiskThatHangsStarvesNoWatchdog(t *testing.T) {
	manager := newPings(t)
	w := &world{t: t, dir: filestest.TempDir(t)}
	if err := os.MkdirAll(w.path("disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("accounts:\n  main: {provider: one, client_id: app-key, client_secret: app-secret}\n")
	cfg, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	log := stuckLog{slog.DiscardHandler, &sync.Once{}, make(chan struct{}), make(chan struct{})}
	listen := func(string) (net.Listener, error) { return net.Listen("unix", w.path("control")) }
	s, err := New(t.Context(), Options{Config: cfg, Version: "test", Log: slog.New(log), Seams: Seams{
		Listen: listen, Launcher: func(provider string) process.Launcher { return inMemory{w, provider} },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	goesOn := sync.OnceFunc(func() { close(log.on) })
	defer goesOn() // or what has hung would keep Close
	ctx, stop := context.WithCancel(t.Context())
	dog := watchdog.Watchdog{Watched: &watched{s: s, orphans: orphans.New()}, Log: slog.New(slog.DiscardHandler)}
	ended := make(chan error, 1)
	go func() { ended <- dog.Run(ctx) }()
	r := record.Record{Account: "main"}
	commit := func() error {
		r = r.Next(recordtest.Token(int(r.Version)), record.OriginLogin, "a", time.Now())
		return s.dir.Store().Commit(t.Context(), r)
	}
	if err := errors.Join(commit(), os.Rename(w.path("disk"), w.path("gone"))); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- commit() }()
	<-log.stuck
	for range 10 { // what was under way then is among them
		manager.one()
	}
	goesOn()
	if err := <-written; !errors.Is(err, store.ErrDisk) {
		t.Errorf("the write has ended with %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
