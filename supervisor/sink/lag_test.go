package sink_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// After a restart it is known for how long a sink has lacked the newest token,
// and that it has lacked those before it for longer.
func TestLagAfterARestartIsAtLeastThat(t *testing.T) {
	for name, tt := range map[string]struct {
		missed  int
		atLeast bool
	}{"the newest alone": {1, false}, "several": {3, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, out := newRecords(), &receiver{}
				b := start(t, sink.WorkerConfig{Sink: out}, r)
				b.refresh("a")
				pass(time.Second)
				out.set(func(context.Context, sink.Delivery) error { return sink.ErrAbsent })
				for range tt.missed {
					b.refresh("a")
					pass(10 * time.Minute)
				}
				if s := b.Summary(); s.Lag != time.Duration(tt.missed)*10*time.Minute || s.LagAtLeast {
					t.Errorf("before the restart: %+v", s)
				}
				b.stop()
				b = start(t, sink.WorkerConfig{Sink: out}, r)
				pass(time.Minute)
				if s := b.Summary(); s.Lag != 11*time.Minute || s.LagAtLeast != tt.atLeast {
					t.Errorf("after the restart: %+v", s)
				}
				out.set(nil)
				b.Redeliver(t.Context(), "")
				pass(time.Minute)
				if s := b.Summary(); s.Lag != 0 || s.LagAtLeast {
					t.Errorf("when it has everything: %+v", s)
				}
			})
		})
	}
}
