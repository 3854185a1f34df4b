package providertest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// process is a provider behind the wire contract, as its process would be.
type process struct {
	*sdk.Remote
	die func()
}

// start runs a fresh provider on a spool directory.
func (s Suite) start(t *testing.T, dir string) *process {
	t.Helper()
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
