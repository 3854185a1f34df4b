package sink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func absent(context.Context, sink.Delivery) error { return fmt.Errorf("nobody: %w", sink.ErrAbsent) }

func TestAbsentIsToldOnceAndDeliveredWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const accounts = 100
		out := &receiver{}
		out.set(absent)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		for i := range accounts {
			b.refresh(fmt.Sprint("a", i))
		}
		pass(time.Hour)
		// One account alone looks for the consumer, twice a minute.
		if n := out.tried() - accounts; n < 100 || n > 130 {
			t.Errorf("%d looks in an hour", n)
		}
		st := b.Status("a0")
		if !st.Absent || st.Failures != 0 {
			t.Errorf("status %+v", st)
		}
		out.set(nil)
		pass(30 * time.Second)
		for i := range accounts {
			if st := b.Status(fmt.Sprint("a", i)); st.Version != 1 || st.Absent {
				t.Fatalf("account %d: %+v", i, st)
			}
		}
		if n := b.count(); n[event.SinkAbsent] != 1 || n[event.Delivered] != accounts || len(n) != 2 {
			t.Errorf("events %v", n)
		}
		// It is told again when it goes away again.
		out.set(absent)
		b.refresh("a1")
		pass(time.Minute)
		if n := b.count(); n[event.SinkAbsent] != 1 || len(n) != 1 {
			t.Errorf("events %v", n)
		}
	})
}

func TestShortAbsenceIsSeenInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(absent)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		synctest.Wait()
		out.set(nil)
		pass(time.Second)
		synctest.Wait()
		if out.versions("a") == nil {
			t.Error("not delivered within a second")
		}
	})
}

func TestWaiterHurriesTheDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &waiting{come: make(chan struct{})}
		out.set(absent)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		b.refresh("b")
		pass(time.Hour)
		n := out.tried()
		out.come <- struct{}{} // its socket is there, but nobody listens yet
		pass(30 * time.Millisecond)
		if out.tried() == n {
			t.Fatal("the sign was not followed")
		}
		out.set(nil)
		pass(100 * time.Millisecond)
		if b.Status("a").Version != 1 || b.Status("b").Version != 1 {
			t.Error("not delivered within 100 ms of listening")
		}
		b.stop() // and Await ends: a goroutine left behind fails the bubble
	})
}

func TestSignsWithoutEndDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &waiting{come: make(chan struct{})}
		close(out.come)
		out.set(absent)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Minute)
		if n := out.tried(); n > 600 {
			t.Errorf("%d tries in a minute", n)
		}
	})
}

func TestOtherFailureEndsTheAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(absent)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		b.refresh("b")
		pass(time.Second / 2)
		out.set(func(context.Context, sink.Delivery) error { return errors.New("wrong answer") })
		pass(time.Second)
		for _, a := range []string{"a", "b"} {
			if st := b.Status(a); st.Absent || st.Failures != 1 {
				t.Errorf("%s: %+v", a, st)
			}
		}
	})
}

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

func TestSummarySaysHowAnAbsenceShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error {
			return fmt.Errorf("%w: nobody listens", sink.ErrAbsent)
		})
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Second)
		if s := b.Summary(); !s.Absent || !strings.Contains(s.AbsentBecause, "nobody listens") {
			t.Errorf("%+v", s)
		}
		out.set(nil)
		pass(time.Minute)
		if s := b.Summary(); s.Absent || s.AbsentBecause != "" {
			t.Errorf("%+v", s)
		}
	})
}
