package keepalive_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// served is the desk as a plugin's provider.
type served struct {
	sdk.NoRefresh
	*desk
}

// overTheWire is d behind the real wire contract.
func overTheWire(t *testing.T, d *desk) *sdk.Remote {
	g := grpc.NewServer()
	sdk.NewServer(served{desk: d}, func() (*spool.Spool, error) { return nil, errors.New("none") }, slog.New(slog.DiscardHandler)).Register(g)
	l := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); g.Stop() })
	return sdk.NewRemote(conn)
}

// A broker that hangs is told of, whatever the wire makes of the end of the call.
func TestBrokerThatHangsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		b := newBeats(d, time.Now)
		run(t, b, overTheWire(t, d))
		time.Sleep(time.Second)
		d.set(func() { d.takes = time.Hour })
		time.Sleep(30 * time.Minute)
		if s := session(t, b, "main"); s.Failures == 0 || s.Unheard != "no answer came within 30s" {
			t.Errorf("half an hour without an answer, %d calls: %+v", d.called("main"), s)
		}
	})
}
