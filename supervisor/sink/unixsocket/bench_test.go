package unixsocket_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

func BenchmarkDeliver(b *testing.B) {
	dir, err := os.MkdirTemp("", "tk") // b.TempDir can be too long for a socket's path
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })

	b.Run("dial", func(b *testing.B) {
		path := filepath.Join(dir, "bot")
		l, err := net.Listen("unix", path)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		go func() {
			buf := make([]byte, 4096)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(buf)
				_, _ = conn.Write([]byte("OK"))
				_ = conn.Close()
			}
		}()
		s, err := unixsocket.New(unixsocket.Config{Path: path, Encode: encode})
		if err != nil {
			b.Fatal(err)
		}
		sinktest.Benchmark(b, s)
	})

	b.Run("listen", func(b *testing.B) {
		path := filepath.Join(dir, "feed")
		s, err := unixsocket.NewListener(unixsocket.ListenConfig{Path: path, Encode: encode, Timeout: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var shelf shelf
		shelf.put(sinktest.Bare("greeting", 1))
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(ctx, shelf.newest) }()
		defer func() { cancel(); <-done }()
		var conn net.Conn
		for conn == nil {
			conn, _ = net.Dial("unix", path)
		}
		defer func() { _ = conn.Close() }()
		r := bufio.NewReader(conn)
		if _, err := r.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, r) }()
		sinktest.Benchmark(b, s)
	})
}
