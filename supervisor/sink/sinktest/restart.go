package sinktest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// restart runs the real worker twice over one store whose ledger loses what was
// delivered, as it does when the process dies between the two: the same version
// must be delivered again, with the same ID.
func (s Suite) restart(t *testing.T) {
	if s.Carries == OnlyNotices {
		t.Skip("what a sink for people has been told is in the ledger of alerts, which the worker's own tests lose")
	}
	d := s.New(t)
	d.Appear(t)
	memory := store.NewMemory()
	token := Full("acct", 1).Document
	rec := store.Record{Account: "acct", Provider: "broker"}.Next(sdk.Token{
		AccessToken: token.AccessToken, RefreshToken: token.RefreshToken, IssuedAt: token.IssuedAt, Lifetime: time.Hour,
	}, store.OriginLogin, "", time.Now())
	if err := memory.Commit(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	seen := &seeing{Sink: d.Sink}
	for range 2 {
		before := len(d.Received(t))
		runUntilDelivered(t, seen, forgetful{memory})
		s.arrived(t, d, "acct", 1, before)
	}
	if len(seen.ids) != 2 || seen.ids[0] != seen.ids[1] || seen.ids[0] == "" {
		t.Errorf("two runs delivered with the ids %q", seen.ids)
	}
}

// runUntilDelivered runs a worker until the bus tells of a delivery.
func runUntilDelivered(t *testing.T, to sink.Sink, from sink.Store) {
	t.Helper()
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	events := bus.Subscribe(100)
	defer events.Close()
	w := sink.NewWorker(sink.WorkerConfig{Name: "tested", Type: "tested", Sink: to, Store: from, IncludeRefreshToken: true, Events: bus})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for deadline := time.After(patience); ; {
		select {
		case e := <-events.C:
			if e.Type == event.Delivered {
				return
			}
			t.Logf("%s: %s", e.Type, e.Message)
		case <-deadline:
			t.Fatal("the worker delivered nothing")
		}
	}
}

// forgetful is a store whose ledger loses everything.
type forgetful struct{ *store.Memory }

func (forgetful) MarkDelivered(context.Context, store.Delivery) error { return nil }

// seeing notes the IDs of what was delivered.
type seeing struct {
	sink.Sink
	mu  sync.Mutex
	ids []string
}

func (s *seeing) Deliver(ctx context.Context, d sink.Delivery) error {
	err := s.Sink.Deliver(ctx, d)
	if err == nil {
		s.mu.Lock()
		s.ids = append(s.ids, d.ID)
		s.mu.Unlock()
	}
	return err
}
