package providertest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/internal/hosted"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// process is a provider behind the wire contract, as its process would be.
type process struct {
	*sdk.Remote
	die func()
}

// fresh runs a provider whose spool is empty. One that is a program alone is the same
// process each time, because some languages take a second to start one.
func (s Suite) fresh(t *testing.T) *process {
	t.Helper()
	if s.standing == nil {
		return s.start(t, t.TempDir())
	}
	left, err := s.standing.Unsettled(call(t))
	if err != nil {
		t.Fatalf("Unsettled: %v", err)
	}
	over := []string{"one", "two", "three", "login", "forged"} // which need not have come to a slot
	for _, e := range left.Entries {
		over = append(over, e.Attempt)
	}
	for _, attempt := range over {
		if err := s.standing.Settle(call(t), attempt); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
	return s.standing
}

// start runs a provider on a spool directory.
func (s Suite) start(t *testing.T, dir string) *process {
	t.Helper()
	if s.New == nil {
		return s.program(t, dir)
	}
	sp, err := spool.Open(t.Context(), dir, 2)
	if err != nil {
		t.Fatalf("open the spool: %v", err)
	}
	server := sdk.NewServer(s.New(), func() (*spool.Spool, error) { return sp, nil }, slog.New(slog.DiscardHandler))
	g := grpc.NewServer()
	server.Register(g)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///provider",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Remote: sdk.NewRemote(conn)}
	dead := false
	p.die = func() {
		if dead {
			return
		}
		dead = true
		_ = conn.Close()
		g.Stop()
		_ = sp.Close()
	}
	t.Cleanup(p.die)
	return p
}

// program is start for a provider that is a program alone. It dies by a kill.
func (s Suite) program(t *testing.T, dir string) *process {
	t.Helper()
	p, remote := s.host(t, dir)
	return &process{Remote: remote, die: func() {
		_ = p.Signal(syscall.SIGKILL) // it may have ended
		if err := p.Ended(10 * time.Second); errors.Is(err, hosted.ErrRuns) {
			t.Fatal(err)
		}
	}}
}

// image copies a spool directory: what a killed process would leave there,
// while the process itself goes on unharmed.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatalf("copy the spool: %v", err)
	}
	return to
}
