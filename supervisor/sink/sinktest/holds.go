package sinktest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// applies says whether the case can concern a sink like that.
func applies(c Case, d Destination) bool {
	switch c {
	case Anew:
		_, names := d.Sink.(sink.Recipient)
		return names
	case Loss:
		_, answers := d.Sink.(sink.Holder)
		return answers
	}
	return true
}

// anew: a consumer that has started anew gets what the one before it had, and one
// that goes on keeps its name.
func (s Suite) anew(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	name := func() string {
		t.Helper()
		name, err := d.Sink.(sink.Recipient).Recipient(t.Context())
		if err != nil || name == "" {
			t.Fatalf("a consumer that is there has the name %q: %v", name, err)
		}
		return name
	}
	worker, stop := working(t, d.Sink)
	defer stop()
	s.arrived(t, d, "acct", 1, 0)
	first, before := name(), len(d.Received(t))
	if again := name(); again != first {
		t.Errorf("one consumer has two names: %s and %s", first, again)
	}
	d.Anew(t)
	if name() == first {
		t.Fatal("the next consumer has the same name")
	}
	if !s.eventually(func() bool { worker.Look(); return len(d.Received(t)) > before }) {
		t.Error("the next consumer got nothing")
	}
}

// loss: what the destination has lost is delivered again, without a newer version.
func (s Suite) loss(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	worker, stop := working(t, d.Sink)
	defer stop()
	s.arrived(t, d, "acct", 1, 0)
	if !s.eventually(func() bool { return worker.Status("acct").Version == 1 }) {
		t.Fatal("the delivery was not noted")
	}
	d.Lose(t)
	if !s.eventually(func() bool { worker.Look(); return contains(d.Received(t), accessToken("acct", 1)) }) {
		t.Error("what was lost did not come back")
	}
}

// working runs a worker that has one token to deliver.
func working(t *testing.T, to sink.Sink) (w *sink.Worker, stop func()) {
	t.Helper()
	memory := store.NewMemory()
	token := Full("acct", 1).Document
	rec := store.Record{Account: "acct", Provider: "broker"}.Next(sdk.Token{
		AccessToken: token.AccessToken, RefreshToken: token.RefreshToken, IssuedAt: token.IssuedAt, Lifetime: time.Hour,
	}, store.OriginLogin, "", time.Now())
	if err := memory.Commit(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	w = sink.NewWorker(sink.WorkerConfig{
		Name: "tested", Type: "tested", Sink: to, Store: memory, IncludeRefreshToken: true, ReadBack: sink.ReadBack{Regularly: true},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	return w, func() { cancel(); running.Wait() }
}
