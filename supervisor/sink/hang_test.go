package sink_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func TestHungSinkHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		hung, healthy := &receiver{}, &receiver{}
		hung.set(func(ctx context.Context, _ sink.Delivery) error { <-ctx.Done(); return ctx.Err() })
		h := start(t, sink.WorkerConfig{Name: "hung", Sink: hung, MaxConcurrent: 2}, r)
		g := start(t, sink.WorkerConfig{Name: "healthy", Sink: healthy}, r)
		for i := range 1000 {
			a := fmt.Sprint("a", i)
			began := time.Now()
			r.next(a)
			h.Wake(a)
			g.Wake(a)
			synctest.Wait()
			if st := g.Status(a); st.Version != 1 || st.Latency != 0 || !time.Now().Equal(began) {
				t.Fatalf("%s was held up: %+v", a, st)
			}
		}
		if n := hung.tried(); n != 2 {
			t.Errorf("%d deliveries in flight at the hung sink", n)
		}
		h.stop() // in time, although it hangs
		for a, busy := range hung.busy {
			if busy {
				t.Errorf("the delivery of %s was neither finished nor cancelled", a)
			}
		}
	})
}

func TestDeaf(t *testing.T) {
	// A sink that ignores its context keeps its account from being served,
	// but not the worker from ending.
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error { <-let; return nil })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Hour)
		b.refresh("a")
		pass(time.Second)
		if out.tried() != 1 {
			t.Errorf("%d deliveries at once", out.tried())
		}
		b.stop()
		close(let)
	})
}

func TestDeliveryThatWasLeftBehindIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error { <-let; return nil })
		r := newRecords()
		r.next("a")
		w := sink.NewWorker(sink.WorkerConfig{Name: "bot", Sink: out, Store: r})
		for range 3 { // as when a bug ends the loop and it is run again
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_ = w.Run(ctx)
			cancel()
			r.next("a")
		}
		out.set(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		time.AfterFunc(time.Minute, func() { close(let) })
		_ = w.Run(ctx)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 4}) || len(out.faults) > 0 {
			t.Errorf("versions %v, faults %v", got, out.faults)
		}
	})
}

func TestDeliveryInFlightMayFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		out.set(func(ctx context.Context, _ sink.Delivery) error {
			select {
			case <-time.After(500 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		b.refresh("a")
		synctest.Wait()
		b.stop()
		if r.ledger["bot"]["a"].Version != 1 {
			t.Error("the delivery in flight did not reach the ledger")
		}
	})
}

func TestIdleWorkerSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		synctest.Wait()
		b.refresh("a")
		pass(24 * time.Hour)
		if r.loads != 1 {
			t.Errorf("the store was read %d times for one wake", r.loads)
		}
	})
}

// A sink that ignores its context, as a file on a dead disk does, fails all the same:
// people are told, and no longer than it lasts.
func TestADeliveryThatHangsIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		out := &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		b.refresh("b")
		pass(time.Minute)
		out.set(func(_ context.Context, d sink.Delivery) error {
			if d.Document.Account == "a" {
				<-let
			}
			return nil
		})
		b.refresh("a")
		b.refresh("b")
		pass(30 * time.Second)
		if s := b.Summary(); s.Failing != 0 {
			t.Errorf("before its time is over: %+v", s)
		}
		pass(10 * time.Minute)
		s, st := b.Summary(), b.Status("a")
		if s.Failing != 1 || s.Hung != 1 || s.Behind != 1 || !strings.Contains(s.LastError, `a delivery of account "a" has not ended`) || s.LastErrorAt.IsZero() {
			t.Errorf("while it hangs: %+v", s)
		}
		if st.Failures == 0 || st.LastError != s.LastError || b.Status("b").Failures != 0 {
			t.Errorf("while it hangs: %+v", st)
		}
		close(let)
		pass(time.Second)
		if s, st := b.Summary(), b.Status("a"); s.Failing != 0 || s.Hung != 0 || s.Behind != 0 || s.LastError != "" || st.Failures != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}
