package sinktest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/internal/hosted"
)

// running is a sink that runs.
type running struct {
	sink *sdk.RemoteSink
	// log holds what it has written so far, and all when the test is over.
	log fmt.Stringer
	// drain returns whether every call of the sink's code has returned, in time;
	// nil: that can't be seen from here. It takes no call after that.
	drain func() bool
	// process is the sink's own; nil: it runs in this one.
	process *hosted.Process
}

// inProcess serves a fresh sink over an in-memory connection.
func (s Suite) inProcess(t *testing.T) running {
	t.Helper()
	log := &hosted.Log{}
	before := slog.Default()
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	slog.SetDefault(logger)
	t.Cleanup(func() { slog.SetDefault(before) })

	g := grpc.NewServer()
	server := sdk.NewSinkServer(s.New(), logger)
	server.Register(g)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///sink",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return running{sink: sdk.NewRemoteSink(conn), log: log, drain: server.Drain}
}

// program starts the sink's program as the supervisor does.
func (s Suite) program(t *testing.T) running {
	t.Helper()
	log := &hosted.Log{}
	process, err := hosted.Start(exec.Command(s.Program[0], s.Program[1:]...), sdk.SinkPluginName, log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(process.Kill)
	return running{sink: sdk.NewRemoteSink(process.Conn), log: log, process: process}
}
