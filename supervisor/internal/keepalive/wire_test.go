package keepalive_test

import (
	"context"
	"errors"
	"fmt"
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

// Accounts whose calls hang keep none of the others waiting, over the wire too.
func TestHangsOverTheWireHarmNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for n := range 400 {
			names = append(names, fmt.Sprintf("a%03d", n))
		}
		d := newDesk(time.Minute, names...)
		d.slow = map[string]bool{}
		for n := range 300 {
			d.slow[names[n]] = true
		}
		b := newBeats(d, time.Now)
		run(t, b, overTheWire(t, d))
		time.Sleep(20 * time.Minute)
		for _, name := range names {
			d.called(name)
		}
		time.Sleep(20*time.Minute + time.Second)
		least, told := 99, 0
		for _, name := range names[300:] {
			least = min(least, d.called(name))
		}
		for _, name := range names[:300] {
			if session(t, b, name).Unheard != "" {
				told++
			}
		}
		if least < 18 || told < 300 {
			t.Errorf("%d beats in twenty minutes beside others that hang, of which %d of 300 are told", least, told)
		}
	})
}
