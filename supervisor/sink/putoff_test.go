package sink_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// A sink may take what is newest once in a while, on purpose: nobody is told of
// failures, and what it gets then is the newest.
func TestPuttingOffIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		next := time.Now()
		out.set(func(context.Context, sink.Delivery) error {
			if wait := time.Until(next); wait > 0 {
				return fmt.Errorf("%w: %w", sink.ErrLater, &sink.RetryAfterError{After: wait, Err: errors.New("once in ten minutes")})
			}
			next = time.Now().Add(10 * time.Minute)
			return nil
		})
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		for range 25 {
			b.refresh("a")
			pass(time.Minute)
		}
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 10, 20}) && !slices.Equal(got, []uint64{1, 11, 21}) {
			t.Errorf("versions %v", got)
		}
		if s := b.Summary(); s.Failing != 0 || s.Failures != 0 || s.LastError != "" || s.Behind != 1 {
			t.Errorf("summary %+v", s)
		}
		if n := b.count(); n[event.DeliveryFailed] != 0 || n[event.Delivered] != 3 {
			t.Errorf("events %v", n)
		}
		pass(10 * time.Minute)
		if got := out.versions("a"); got[len(got)-1] != 25 {
			t.Errorf("the newest is not there: %v", got)
		}
	})
}
