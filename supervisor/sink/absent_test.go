package sink_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// A consumer that broke off and then went does not run, and no longer fails.
func TestAbsenceIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error { return errors.New("broken off") })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Second)
		if s := b.Summary(); s.Failing != 1 {
			t.Errorf("it fails, and the summary says %+v", s)
		}
		out.set(absent)
		pass(time.Hour)
		if s := b.Summary(); s.Failing != 0 || !s.Absent || s.Behind != 1 {
			t.Errorf("it is absent, and the summary says %+v", s)
		}
	})
}
