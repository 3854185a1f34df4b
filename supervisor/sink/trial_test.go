package sink_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// tester is a receiver that can show that it works.
type tester struct {
	receiver
	tested []sink.Delivery
	answer error
}

func (p *tester) Test(_ context.Context, d sink.Delivery) (string, error) {
	p.tested = append(p.tested, d)
	return "looked", p.answer
}

func TestTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, can := newRecords(), &tester{}
		b := start(t, sink.WorkerConfig{Sink: can, Accounts: []string{"b", "c"}}, r)
		if _, err := b.Test(t.Context()); err == nil || !strings.Contains(err.Error(), "none of its accounts has a token") {
			t.Errorf("without any token: %v", err)
		}
		for _, a := range []string{"a", "b", "c", "b"} {
			b.refresh(a)
			pass(time.Second)
		}
		b.Disable("ann")
		done, err := b.Test(t.Context())
		if err != nil || done != "looked" || len(can.tested) != 1 {
			t.Fatalf("%q, %v", done, err)
		}
		if d := can.tested[0]; d.Document.Account != "b" || d.Version != 2 || !d.Document.RefreshToken.IsZero() {
			t.Errorf("tested with %+v", d)
		}
		can.answer = errors.New("no such bucket")
		if _, err = b.Test(t.Context()); err == nil || err.Error() != `sink "bot": no such bucket` {
			t.Errorf("%v", err)
		}

		plain := start(t, sink.WorkerConfig{Name: "plain", Sink: &receiver{}}, r)
		if _, err := plain.Test(t.Context()); err == nil || !strings.Contains(err.Error(), "sinks redeliver plain") {
			t.Errorf("a sink that can't be tested: %v", err)
		}
		for _, cfg := range []sink.WorkerConfig{alertsOnly(&listener{}, newBoard()), lifecycleOnly(&listener{})} {
			b := start(t, cfg, newRecords())
			if done, err := b.Test(t.Context()); err != nil || done == "" {
				t.Errorf("%q, %v", done, err)
			}
			heard, _ := cfg.Sink.(*listener).take()
			if len(heard) != 1 || !heard[0].Test || (heard[0].Alert == nil) == (heard[0].Event == nil) || heard[0].Kind != cfg.Kinds[0] {
				t.Errorf("heard %+v", heard)
			}
			cfg.Sink.(*listener).listen(func(context.Context, sink.Notice) error { panic("a bug") })
			if _, err := b.Test(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestTestNeverOverlapsADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &tester{}
		out.set(func(ctx context.Context, _ sink.Delivery) error { <-ctx.Done(); return ctx.Err() })
		b := start(t, sink.WorkerConfig{Sink: out, Policy: sink.RetryPolicy{Timeout: 10 * time.Second}}, newRecords())
		b.refresh("a")
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Test(ctx); !errors.Is(err, context.DeadlineExceeded) || len(out.tested) != 0 {
			t.Errorf("%v while a delivery hangs", err)
		}
		if _, err := b.Test(t.Context()); err != nil {
			t.Errorf("%v after the delivery's end", err)
		}
	})
}
