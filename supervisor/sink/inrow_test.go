package sink_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// failures are those that were told since the last call, each as it was counted.
func (b *bench) failures() (told []int) {
	for {
		select {
		case e := <-b.events.C:
			if e.Type == event.DeliveryFailed {
				told = append(told, e.Failures)
			}
		default:
			return told
		}
	}
}

// What failed is counted in a row, whatever the version: the log, the status and the
// alerts have the same number, also after a start.
func TestFailuresAreCountedWhateverTheVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		counts := func(when string, want int) {
			t.Helper()
			s, st := b.Summary(), b.Status("a")
			if s.InRow != want || st.Failures != want || s.MaxFailures != 3 {
				t.Errorf("%s: %d in a row of %d, and %d in the status; want %d", when, s.InRow, s.MaxFailures, st.Failures, want)
			}
		}
		out.set(wrong)
		for range 4 { // a newer version before each version's second try
			b.refresh("a")
			pass(time.Second)
		}
		counts("four versions", 4)
		if told := b.failures(); !slices.Equal(told, []int{1, 2, 3, 4}) {
			t.Errorf("told as %v", told)
		}
		b.stop()

		b = start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		counts("after a start", 5)
		b.stop()
		r.next("a")
		b = start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		if n := b.Summary().InRow; n < 4 {
			t.Errorf("after a start with a newer version: %d in a row", n)
		}

		out.set(absent)
		b.refresh("a")
		pass(time.Second)
		counts("its consumer went", 0)
		out.set(wrong)
		pass(time.Minute)
		out.set(nil)
		b.refresh("a")
		pass(time.Minute)
		counts("it takes again", 0)
		b.failures()
		out.set(func(context.Context, sink.Delivery) error { return sink.ErrRefused })
		b.refresh("a")
		pass(time.Second)
		b.refresh("a")
		pass(time.Second)
		counts("two versions were refused", 2)
		if told := b.failures(); !slices.Equal(told, []int{1, 2}) {
			t.Errorf("told as %v", told)
		}
	})
}

// Whoever looks for alerts is woken when it is one, and when it is over.
func TestAnAlertIsLookedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
		out := &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out, Events: bus}, newRecords())
		nudged := func(when string, want bool) {
			t.Helper()
			select {
			case <-bus.Nudged():
				if !want {
					t.Errorf("%s: looked for", when)
				}
			default:
				if want {
					t.Errorf("%s: not looked for", when)
				}
			}
		}
		out.set(wrong)
		b.refresh("a")
		pass(time.Second)
		b.refresh("a")
		pass(time.Second)
		nudged("it has failed twice", false)
		b.refresh("a")
		pass(time.Second)
		nudged("it has failed three times", true)
		out.set(nil)
		b.refresh("a")
		pass(time.Second)
		nudged("it has taken a newer version", true)
	})
}

// A test that works is followed by the deliveries that failed, whenever they would be
// tried next, and by those that were refused.
func TestATestThatWorksHasTheRestTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &tester{}
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		out.set(func(_ context.Context, d sink.Delivery) error {
			if d.Document.Account == "b" {
				return sink.ErrRefused
			}
			return errors.New("wrong answer")
		})
		b.refresh("a")
		b.refresh("b")
		pass(10 * time.Minute)
		tried := out.tried()
		out.answer = errors.New("still wrong")
		if _, err := b.Test(t.Context()); err == nil {
			t.Error("it fails, and the test works")
		}
		pass(0)
		if n := out.tried(); n != tried {
			t.Errorf("%d tries by a test that failed", n-tried)
		}
		out.answer = nil
		out.set(nil)
		if _, err := b.Test(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if s := b.Summary(); s.UpToDate != 2 || s.Failing != 0 {
			t.Errorf("after a test that worked: %+v", s)
		}
	})
}

// Events are told again by nobody, so that it is the test that shows that they get
// through.
func TestATestThatWorksEndsTheTroubleWithEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &listener{}
		out.listen(func(context.Context, sink.Notice) error { return errors.New("wrong answer") })
		b := start(t, lifecycleOnly(out), newRecords())
		b.Tell(numbered(1))
		b.Tell(numbered(2))
		pass(time.Minute)
		if s := b.Summary(); s.Failing != 1 || s.InRow != 6 {
			t.Errorf("two events of three tries each: %d in a row, %+v", s.InRow, s)
		}
		if told := b.failures(); !slices.Equal(told, []int{3, 6}) {
			t.Errorf("told as %v", told)
		}
		out.listen(nil)
		if _, err := b.Test(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := b.Summary(); s.Failing != 0 || s.InRow != 0 || !s.LastDelivery.Equal(time.Now()) {
			t.Errorf("after a test that worked: %+v", s)
		}
	})
}

// closed is a sink to which nobody can come before it is opened.
type closed struct {
	shop
	why    error
	opened atomic.Bool
}

func (c *closed) Serve(ctx context.Context, newest func(context.Context) iter.Seq2[sink.Delivery, error]) error {
	if !c.opened.Load() {
		return c.why
	}
	return c.shop.Serve(ctx, newest)
}

// That nobody can come is a failure of the sink, also while those who have come before
// get all that there is.
func TestNobodyCanCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &closed{why: errors.New("its folder is gone")}
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(9 * time.Second)
		if s := b.Summary(); s.Shut != "" || s.Failing != 0 {
			t.Errorf("after two tries: %+v", s)
		}
		pass(2 * time.Second)
		if s := b.Summary(); s.Shut != "its folder is gone" || s.ShutSince.IsZero() || s.Failing != 1 || s.UpToDate != 1 || s.LastError != "its folder is gone" {
			t.Errorf("after three: %+v", s)
		}
		out.opened.Store(true)
		pass(2 * time.Minute)
		if s := b.Summary(); s.Shut != "" || s.Failing != 0 {
			t.Errorf("once they can: %+v", s)
		}
	})
}
