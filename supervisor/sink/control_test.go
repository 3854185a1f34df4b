package sink_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestDisabledSinkGetsTheNewestWhenItIsEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, out := newBoard(), &listener{}
		cfg := alertsOnly(out, on)
		cfg.Kinds = append(cfg.Kinds, sink.KindToken)
		b := start(t, cfg, newRecords())
		b.refresh("a")
		pass(time.Second)
		b.Disable("ann")
		for range 3 {
			b.refresh("a")
			b.refresh("new")
			b.raise(on, "a", event.AlertRepeated)
			pass(time.Minute)
		}
		heard, _ := out.take()
		if out.tried() != 1 || len(heard) != 0 {
			t.Errorf("%d tokens and %d notices went to a disabled sink", out.tried()-1, len(heard))
		}
		s := b.Summary()
		if !s.Disabled || s.Gone || s.DisabledBy != "ann" || s.Behind != 2 || s.OpenNotices != 1 || s.Lag != 3*time.Minute {
			t.Errorf("summary %+v", s)
		}
		if n, err := b.Redeliver(t.Context(), ""); err == nil || n != 0 || !strings.Contains(err.Error(), "enable bot") {
			t.Errorf("redelivering to a disabled sink: %d, %v", n, err)
		}
		b.Enable()
		synctest.Wait()
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 4}) {
			t.Errorf("versions %v", got)
		}
		if got := out.versions("new"); !slices.Equal(got, []uint64{3}) {
			t.Errorf("versions %v of an account that is new", got)
		}
		if heard, _ = out.take(); len(heard) != 1 || heard[0].Alert.Version != 3 {
			t.Errorf("heard %+v", heard)
		}
		if n := b.count(); n[event.SinkDisabled] != 1 || n[event.Recovered] != 1 {
			t.Errorf("events %v", n)
		}
	})
}

func TestEnableAfterGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		out.set(func(context.Context, sink.Delivery) error { return fmt.Errorf("410: %w", sink.ErrGone) })
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		b.refresh("b")
		pass(time.Hour)
		if s := b.Summary(); !s.Disabled || !s.Gone || s.DisabledBy != "the receiver" || s.Behind != 2 || !strings.Contains(s.LastError, "410") {
			t.Errorf("summary %+v", s)
		}
		out.set(nil)
		b.Enable()
		b.Enable() // once more does nothing
		pass(time.Second)
		if s := b.Summary(); s.Disabled || s.UpToDate != 2 || s.Lag != 0 {
			t.Errorf("summary %+v", s)
		}
		if out.versions("a") == nil || out.versions("b") == nil {
			t.Error("what was missed did not come")
		}
	})
}

func TestDisabledBeforeItRunsAndWhileADeliveryIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		r.next("a")
		r.broken = errors.New("disk")
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		synctest.Wait()
		b.Disable("ann") // before it has read the ledger
		r.set(func(r *records) { r.broken = nil })
		pass(time.Minute)
		if out.tried() != 0 {
			t.Error("a disabled sink was delivered to")
		}
		out.set(func(ctx context.Context, _ sink.Delivery) error { <-ctx.Done(); return ctx.Err() })
		b.Enable()
		synctest.Wait()
		b.Disable("ann")
		b.refresh("a")
		b.Enable() // the first one still hangs
		out.set(nil)
		pass(time.Minute)
		if got := out.versions("a"); !slices.Equal(got, []uint64{2}) || len(out.faults) > 0 {
			t.Errorf("versions %v, faults %v", got, out.faults)
		}
	})
}

func TestDisablingEndsAnAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &waiting{come: make(chan struct{})}
		out.set(absent)
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Hour)
		b.Disable("ann")
		n := out.tried()
		pass(time.Hour)
		if s := b.Summary(); s.Absent || b.Status("a").Absent || out.tried() != n {
			t.Errorf("%d tries while disabled, summary %+v", out.tried()-n, s)
		}
		select {
		case out.come <- struct{}{}:
			t.Error("the consumer of a disabled sink is still awaited")
		default:
		}
		out.set(nil)
		b.Enable()
		synctest.Wait()
		if b.Status("a").Version != 1 {
			t.Error("not tried as soon as it was enabled")
		}
	})
}

func TestRedeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, out := newBoard(), &listener{}
		cfg := alertsOnly(out, on)
		cfg.Kinds = append(cfg.Kinds, sink.KindToken)
		b := start(t, cfg, newRecords())
		for _, a := range []string{"a", "b", "c"} {
			b.refresh(a)
		}
		lasts := b.raise(on, "a", event.AlertRaised)
		over := b.raise(on, "b", event.AlertRecovered)
		pass(time.Second)
		out.take()
		redeliver := func(what string, tokens, notices int) {
			t.Helper()
			before := out.tried()
			n, err := b.Redeliver(t.Context(), what)
			if err != nil || n != tokens+notices {
				t.Errorf("redelivering %q: %d, %v", what, n, err)
			}
			synctest.Wait()
			if heard, _ := out.take(); out.tried()-before != tokens || len(heard) != notices {
				t.Errorf("redelivering %q brought %d tokens and %d notices", what, out.tried()-before, len(heard))
			}
		}
		redeliver("b", 1, 0)
		redeliver("", 3, 1)
		redeliver(lasts.Key, 0, 1)
		redeliver(over.Key, 0, 1)
		ids, again := map[string]int{}, 0
		for _, d := range out.got {
			ids[d.ID]++
			if d.Again {
				again++
			}
		}
		if again != 4 {
			t.Errorf("%d deliveries say that they are wanted again, want 4", again)
		}
		if len(ids) != 3 {
			t.Errorf("ids %v: a version has more than one", ids)
		}
		if _, err := b.Redeliver(t.Context(), "stranger"); err == nil || !strings.Contains(err.Error(), "stranger") {
			t.Errorf("redelivering what is not there: %v", err)
		}
		pass(time.Hour)
		if heard, _ := out.take(); out.tried() != 7 || len(heard) != 0 {
			t.Errorf("%d tokens and %d notices: something was delivered unasked", out.tried(), len(heard))
		}
	})
}

// What nobody can use does not count where everything is delivered once more.
func TestRedeliverCountsNoExpiredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out, Accounts: []string{"a", "b"}}, newRecords())
		b.refresh("a")
		pass(72 * time.Hour)
		b.refresh("b")
		pass(time.Second)
		before := out.tried()
		n, err := b.Redeliver(t.Context(), "")
		pass(time.Minute)
		if tried := out.tried() - before; n != 1 || tried != 1 || err != nil {
			t.Errorf("%d deliveries were made, and %d told: %v", tried, n, err)
		}
		pass(72 * time.Hour)
		if n, err := b.Redeliver(t.Context(), ""); n != 0 || err != nil {
			t.Errorf("when all have expired: %d, %v", n, err)
		}
	})
}

func TestRedeliverSurvivesFailuresAndWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, newRecords())
		b.refresh("a")
		pass(time.Second)
		out.set(func(context.Context, sink.Delivery) error { return errors.New("no") })
		if _, err := b.Redeliver(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		out.set(func(context.Context, sink.Delivery) error { time.Sleep(10 * time.Second); return nil })
		pass(time.Minute)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 1}) {
			t.Fatalf("versions %v", got)
		}
		// A wish that comes during a delivery is for one after it.
		b.refresh("a")
		pass(time.Second)
		if _, err := b.Redeliver(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := out.versions("a"); !slices.Equal(got, []uint64{1, 1, 2, 2}) {
			t.Errorf("versions %v", got)
		}
		// What was refused is tried once more, and no oftener.
		out.set(func(context.Context, sink.Delivery) error { return sink.ErrRefused })
		b.refresh("a")
		pass(time.Minute)
		n := out.tried()
		if _, err := b.Redeliver(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		b.Wake("a")
		pass(time.Hour)
		if out.tried() != n+1 {
			t.Errorf("%d tries of what is refused", out.tried()-n)
		}
	})
}

func TestSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		out.set(func(_ context.Context, d sink.Delivery) error {
			switch {
			case d.Document.Account == "slow":
				time.Sleep(3 * time.Second)
			case d.Document.Account == "bad" && d.Version == 1:
				return errors.New("wrong answer")
			case d.Document.Account == "never":
				return sink.ErrRefused
			}
			return nil
		})
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		for _, a := range []string{"slow", "bad", "never", "fine"} {
			b.refresh(a)
		}
		pass(4 * time.Second)
		s := b.Summary()
		if s.Accounts != 4 || s.UpToDate != 2 || s.Behind != 2 || s.Failing != 2 || s.Lag != 4*time.Second ||
			s.Deliveries != 2 || s.Failures != 2 || s.Latency != 3*time.Second || s.LastDelivery.IsZero() ||
			s.LastError == "" || s.Next.IsZero() || s.Absent || s.Disabled {
			t.Errorf("summary %+v", s)
		}
		b.refresh("bad")
		pass(time.Minute)
		if s := b.Summary(); s.UpToDate != 3 || s.Failing != 1 {
			t.Errorf("summary %+v", s)
		}
		b.stop()
		out.set(func(context.Context, sink.Delivery) error { return sink.ErrAbsent })
		b = start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Second)
		if s := b.Summary(); !s.Absent || s.Accounts != 4 || s.UpToDate != 3 || s.LastDelivery.IsZero() || s.Deliveries != 0 || s.LastError != "" {
			t.Errorf("summary after a restart %+v", s)
		}
	})
}

func TestLedgerKnowsLoudFailuresOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &receiver{}
		b := start(t, sink.WorkerConfig{Sink: out}, r)
		b.refresh("a")
		pass(time.Second)
		out.set(func(context.Context, sink.Delivery) error { return errors.New("wrong answer") })
		b.refresh("a")
		pass(24 * time.Hour)
		if out.tried() < 1000 || r.tried > 15 {
			t.Errorf("%d of %d failures were noted", r.tried, out.tried())
		}
		if d := r.ledger["bot"]["a"]; d.Version != 1 || d.Result != store.ResultFailed || d.TriedVersion != 2 || d.Error != "wrong answer" || d.Failures < 1000 {
			t.Errorf("the ledger says %+v", d)
		}
		b.stop()
		out.set(absent)
		b = start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Hour)
		b.stop()
		out.set(func(context.Context, sink.Delivery) error { return sink.ErrRefused })
		b = start(t, sink.WorkerConfig{Sink: out}, r)
		pass(time.Hour)
		if d := r.ledger["bot"]["a"]; d.Version != 1 || d.Result != store.ResultRefused || d.Failures != 1 {
			t.Errorf("the ledger says %+v", d)
		}
		out.set(nil)
		b.refresh("a")
		pass(time.Second)
		if d := r.ledger["bot"]["a"]; d.Version != 3 || d.Result != store.ResultDelivered || d.Error != "" {
			t.Errorf("the ledger says %+v", d)
		}
	})
}
