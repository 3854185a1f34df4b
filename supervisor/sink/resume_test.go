package sink_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func wrong(context.Context, sink.Delivery) error { return errors.New("wrong answer") }
func hangs(ctx context.Context, _ sink.Delivery) error {
	<-ctx.Done()
	return ctx.Err()
}

// What a start takes up of an earlier run's failures is what still fails, with
// its reason.
func TestWhatStillFailsAfterAStart(t *testing.T) {
	type answer = func(context.Context, sink.Delivery) error
	for _, c := range []struct {
		name    string
		answers []answer // of the first run, a minute each
		newer   bool     // there is a newer version at the start
		failing int
		err     string
	}{
		{"it failed", []answer{wrong}, false, 1, "wrong answer"},
		{"an older version failed", []answer{wrong}, true, 0, ""},
		{"it was absent", []answer{absent}, false, 0, ""},
		{"it failed, and went then", []answer{wrong, absent}, false, 0, ""},
		{"it was absent, and fails now", []answer{absent, wrong}, false, 1, "wrong answer"},
		{"it was cut off by the end", []answer{hangs}, false, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, out := newRecords(), &receiver{}
				policy := sink.RetryPolicy{Timeout: time.Hour}
				b := start(t, sink.WorkerConfig{Sink: out, Policy: policy}, r)
				out.set(c.answers[0])
				b.refresh("a")
				for _, answer := range c.answers {
					out.set(answer)
					pass(time.Minute)
				}
				b.stop()
				if c.newer {
					r.next("a")
				}
				out.set(hangs)
				b = start(t, sink.WorkerConfig{Sink: out, Policy: policy}, r)
				synctest.Wait()
				if s := b.Summary(); s.Failing != c.failing || s.LastError != c.err || s.Behind != 1 {
					t.Errorf("at the start the summary says %+v", s)
				}
				if st := b.Status("a"); (st.Failures > 0) != (c.failing > 0) || st.LastError != c.err {
					t.Errorf("at the start the status says %+v", st)
				}
			})
		})
	}
}
