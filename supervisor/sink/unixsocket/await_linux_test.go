package unixsocket_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// awaited finds nobody there, runs Await and returns what it answers.
func awaited(ctx context.Context, t *testing.T, s *unixsocket.Sink) <-chan error {
	t.Helper()
	if err := s.Deliver(ctx, sinktest.Bare("a", 1)); !errors.Is(err, sink.ErrAbsent) {
		t.Fatalf("got %v, want %v", err, sink.ErrAbsent)
	}
	done := make(chan error, 1)
	go func() { done <- s.Await(ctx) }()
	return done
}

// took fails the test unless Await has returned nil soon.
func took(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-waittest.Late(t):
		t.Fatal("Await did not see the socket appear")
	}
}

func TestAwaitSeesTheSocketAppear(t *testing.T) {
	c := newConsumer(t)
	done := awaited(t.Context(), t, newSink(t, unixsocket.Config{Path: c.path}))
	if err := os.WriteFile(filepath.Join(filepath.Dir(c.path), "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.listen(t)
	took(t, done)
}

func TestAwaitSeesTheDirectoryAppear(t *testing.T) {
	c := newConsumer(t)
	c.path = filepath.Join(c.path, "run", "s")
	done := awaited(t.Context(), t, newSink(t, unixsocket.Config{Path: c.path}))
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		t.Fatal(err)
	}
	c.listen(t)
	took(t, done)
}

func TestAwaitSeesTheDirectoryComeBack(t *testing.T) {
	c := newConsumer(t)
	c.path = filepath.Join(c.path, "s")
	dir := filepath.Dir(c.path)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	done := awaited(t.Context(), t, newSink(t, unixsocket.Config{Path: c.path}))
	if err := errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	c.listen(t)
	took(t, done)
}

func TestAwaitIsNotFooledByAStaleSocket(t *testing.T) {
	c := newConsumer(t)
	leave := func() {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	}
	leave()
	done := awaited(t.Context(), t, newSink(t, unixsocket.Config{Path: c.path}))
	select {
	case err := <-done:
		t.Fatalf("Await returned for the stale socket: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	c.listen(t)
	took(t, done)
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	c := newConsumer(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := awaited(ctx, t, newSink(t, unixsocket.Config{Path: c.path}))
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-waittest.Late(t):
		t.Fatal("Await did not return")
	}
	if err := newSink(t, unixsocket.Config{Path: "@abstract"}).Await(t.Context()); err == nil {
		t.Error("an abstract socket was watched")
	}
}

// holding returns a store with one record.
func holding(t *testing.T, rec store.Record) *store.Memory {
	t.Helper()
	m := store.NewMemory()
	if err := m.Commit(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConsumerThatStartsLateGetsItsToken(t *testing.T) {
	c := newConsumer(t)
	d := sinktest.Bare("a", 1).Document
	rec := store.Record{Account: "a", Provider: "broker", Version: 1, Grant: 1, StoredAt: time.Now()}
	rec.Token.AccessToken, rec.Token.IssuedAt = d.AccessToken, d.IssuedAt
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	sub := bus.Subscribe(10)
	w := sink.NewWorker(sink.WorkerConfig{Name: "bot", Sink: newSink(t, unixsocket.Config{Path: c.path}), Store: holding(t, rec), Events: bus})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	next := func(want event.Type) {
		t.Helper()
		e := waittest.Receive(t, "an event "+string(want), sub.C)
		if e.Type != want {
			t.Fatalf("event %+v, want %s", e, want)
		}
	}
	next(event.SinkAbsent)
	passed := waittest.Beats(t)
	c.listen(t)
	next(event.Delivered)
	if n := passed(); n > 10 { // it would be looked for in 30 s at the latest
		t.Errorf("delivered %d beats after the consumer came", n)
	}
	cancel()
	<-done
}
