package sinktest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// restart runs the real worker twice over one store whose ledger loses what was
// delivered, as it does when the process dies between the two: the same version
// must be delivered again, with the same ID.
func (s Suite) restart(t *testing.T) {
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
	seen := &seeing{Sink: d.Sink, told: make(chan string, 10)}
	cfg := sink.WorkerConfig{
		Name: "tested", Type: "tested", Sink: seen, Store: forgetful{memory}, IncludeRefreshToken: true,
		Alerts: standing{*Alert("acct", 1).Alert},
	}
	if s.Carries == OnlyNotices {
		cfg.Kinds = []sink.Kind{sink.KindAlert}
	}
	var ids [2]string
	for i := range ids {
		before := len(d.Received(t))
		ids[i] = seen.run(t, cfg, s.Patience)
		s.arrived(t, d, "acct", 1, before)
	}
	if ids[0] != ids[1] || ids[0] == "" {
		t.Errorf("two runs delivered with the ids %q", ids)
	}
}

// forgetful is a store whose ledger loses everything.
type forgetful struct{ *store.Memory }

func (forgetful) MarkDelivered(context.Context, store.Delivery) error { return nil }

// standing is one alert that lasts.
type standing struct{ alert event.Alert }

func (s standing) Alerts(context.Context) ([]event.Alert, error) {
	return []event.Alert{s.alert}, nil
}

func (s standing) Alert(_ context.Context, key string) (event.Alert, bool, error) {
	return s.alert, key == s.alert.Key, nil
}

// seeing tells the IDs of what was delivered.
type seeing struct {
	sink.Sink
	told chan string
}

func (s *seeing) Deliver(ctx context.Context, d sink.Delivery) error {
	err := s.Sink.Deliver(ctx, d)
	if err == nil {
		s.told <- d.ID
	}
	return err
}

func (s *seeing) Notify(ctx context.Context, n sink.Notice) error {
	notifier, ok := s.Sink.(sink.Notifier)
	if !ok {
		return errors.New("it can't be told")
	}
	err := notifier.Notify(ctx, n)
	if err == nil {
		s.told <- n.ID
	}
	return err
}

// run runs a worker until something was delivered, and returns its ID.
func (s *seeing) run(t *testing.T, cfg sink.WorkerConfig, patience time.Duration) (id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = sink.NewWorker(cfg).Run(ctx) })
	defer running.Wait()
	defer cancel()
	late, ended := waittest.Context(ctx, beats(patience))
	defer ended()
	select {
	case id = <-s.told:
	case <-late.Done():
		t.Error("the worker delivered nothing")
	}
	return id
}
