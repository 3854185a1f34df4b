package sink_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Of many keys that fail alike one complains. When it is gone, another does.
func TestAnotherComplainsWhenTheSpeakerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		bus := event.NewBus(slog.New(slog.NewTextHandler(&log, nil)), time.Now)
		on, out := newBoard(), &listener{}
		out.listen(func(context.Context, sink.Notice) error { return errors.New("refused") })
		cfg := alertsOnly(out, on)
		cfg.Events = bus
		b := start(t, cfg, newRecords())
		a := b.raise(on, "a", event.AlertRaised)
		pass(time.Minute)
		on.drop(a.Key)
		pass(10 * time.Minute)
		log.Reset()
		b.raise(on, "b", event.AlertRaised)
		pass(10 * time.Minute)
		if n := strings.Count(log.String(), "level=WARN"); n == 0 {
			t.Errorf("nobody complains")
		}
	})
}

// hooked are records that do something when the ledger is read first.
type hooked struct {
	*records
	once sync.Once
	then func()
}

func (h *hooked) Delivery(ctx context.Context, s, a string) (store.Delivery, error) {
	d, err := h.records.Delivery(ctx, s, a)
	h.once.Do(h.then)
	return d, err
}

// What comes while the start reads the ledger is not forgotten, also for a sink that is
// disabled then.
func TestWakeDuringTheStartOfADisabledSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		b.refresh("a")
		pass(time.Second)
		b.stop()
		h := &hooked{records: r}
		bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
		w := sink.NewWorker(sink.WorkerConfig{Name: "bot", Type: "memory", Sink: out, Store: h, Events: bus})
		h.then = func() { time.Sleep(time.Second); r.next("a"); w.Wake("a") }
		w.Disable("me")
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = w.Run(ctx) }()
		pass(time.Minute)
		w.Enable()
		pass(time.Hour)
		if v := out.versions("a"); len(v) != 2 {
			t.Errorf("versions %v", v)
		}
		cancel()
		<-done
	})
}

// That a refused version is taken after all is news: its alert is over at once.
func TestRefusedThenRedelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
		b := start(t, sink.WorkerConfig{Sink: out, Events: bus}, r)
		out.set(func(context.Context, sink.Delivery) error { return sink.ErrRefused })
		b.refresh("a")
		pass(time.Minute)
		out.set(nil)
		for len(bus.Nudged()) > 0 {
			<-bus.Nudged()
		}
		if _, err := b.Redeliver(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if len(bus.Nudged()) == 0 {
			t.Error("nobody is nudged")
		}
	})
}
