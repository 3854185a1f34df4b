package sink_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

func lifecycleOnly(out sink.Sink) sink.WorkerConfig {
	return sink.WorkerConfig{Sink: out, Kinds: []sink.Kind{sink.KindLifecycle}}
}

func numbered(seq uint64) event.Event {
	return event.Event{Seq: seq, Time: time.Now(), Type: event.ProviderStarted, Provider: "broker", Message: fmt.Sprint("event ", seq)}
}

func TestLifecycleEventsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, failed := &listener{}, map[uint64]bool{}
		out.listen(func(_ context.Context, n sink.Notice) error {
			time.Sleep(time.Second)
			if n.Event.Seq%7 == 0 && !failed[n.Event.Seq] {
				failed[n.Event.Seq] = true
				return errors.New("reset")
			}
			return nil
		})
		r := newRecords()
		b := start(t, lifecycleOnly(out), r)
		for i := range 50 {
			b.Tell(numbered(uint64(i + 1)))
		}
		b.refresh("a")
		pass(time.Hour)
		heard, _ := out.take()
		if len(heard) != 50 {
			t.Fatalf("%d events, want 50", len(heard))
		}
		ids := map[string]bool{}
		for i, n := range heard {
			if n.Kind != sink.KindLifecycle || n.Alert != nil || n.Event.Seq != uint64(i+1) {
				t.Fatalf("notice %d is %+v", i, n)
			}
			ids[n.ID] = true
		}
		if len(ids) != 50 {
			t.Errorf("%d different ids", len(ids))
		}
		if r.loads+r.lists+out.tried() > 0 {
			t.Error("a sink of events has to do with tokens")
		}
		if s := b.Summary(); s.Deliveries != 50 || s.OpenNotices != 0 || s.DroppedEvents != 0 {
			t.Errorf("summary %+v", s)
		}
	})
}

func TestWhatIsNoLifecycleEventOfASink(t *testing.T) {
	for _, c := range []struct {
		name string
		e    event.Event
		// told to a sink that takes lifecycle events of account a, and to one
		// that takes alerts too.
		plain, withAlerts bool
	}{
		{"a refresh", event.Event{Type: event.Refreshed, Account: "a"}, true, true},
		{"of another account", event.Event{Type: event.Refreshed, Account: "b"}, false, false},
		{"of a provider", event.Event{Type: event.ProviderStopped, Provider: "broker"}, true, true},
		{"a delivery", event.Event{Type: event.Delivered, Account: "a", Sink: "other"}, false, false},
		{"a failed delivery", event.Event{Type: event.DeliveryFailed, Account: "a", Sink: "other"}, false, false},
		{"of another sink", event.Event{Type: event.SinkAbsent, Sink: "other"}, true, true},
		{"of itself", event.Event{Type: event.SinkAbsent, Sink: "bot"}, false, false},
		{"an alert", event.Event{Type: event.NeedsLogin, Account: "a", Alert: true}, true, false},
		{"what comes as an alert", event.Event{Type: event.UnknownToken, Account: "a"}, true, false},
		{"what is met of no state", event.Event{Type: event.DiskTrouble, Account: "a"}, true, false},
		{"the end of one", event.Event{Type: event.Recovered, Account: "a"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, withAlerts := range []bool{false, true} {
					out := &listener{}
					cfg := lifecycleOnly(out)
					cfg.Accounts = []string{"a"}
					want := c.plain
					if withAlerts {
						cfg.Kinds, cfg.Alerts, want = append(cfg.Kinds, sink.KindAlert), newBoard(), c.withAlerts
					}
					b := start(t, cfg, newRecords())
					b.Tell(c.e)
					pass(time.Minute)
					if heard, _ := out.take(); (len(heard) == 1) != want {
						t.Errorf("with alerts %v: told %v, want %v", withAlerts, len(heard), want)
					}
				}
			})
		})
	}
}

func TestFullQueueDropsTheOldestAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &listener{}
		out.listen(hang)
		on := newBoard()
		cfg := lifecycleOnly(out)
		cfg.Kinds = append(cfg.Kinds, sink.KindAlert, sink.KindToken)
		cfg.Alerts = on
		b := start(t, cfg, newRecords())
		for i := range 1000 {
			b.Tell(numbered(uint64(i + 1)))
			synctest.Wait()
		}
		if s := b.Summary(); s.OpenNotices != 256 || s.DroppedEvents != 1000-256-1 {
			t.Errorf("%d wait, %d were dropped", s.OpenNotices, s.DroppedEvents)
		}
		if n := b.count(); n[event.DeliveryFailed] != 1 || len(n) != 1 {
			t.Errorf("events %v, want the burst to be told once", n)
		}
		// A token is held up by none of it.
		b.refresh("a")
		synctest.Wait()
		if b.Status("a").Version != 1 {
			t.Error("the events hold up a token")
		}
		// What does not get through in a few tries is given up, and the next
		// one has its turn.
		b.count()
		pass(3 * time.Minute)
		if n := b.count(); n[event.DeliveryFailed] != 1 {
			t.Errorf("events %v, want one that an event was given up", n)
		}
		if s := b.Summary(); s.Failing != 1 || s.Lag != 150*time.Second {
			t.Errorf("summary %+v", s)
		}
		out.listen(nil)
		pass(time.Hour)
		heard, _ := out.take()
		if last := heard[len(heard)-1]; len(heard) < 250 || last.Event.Seq != 1000 {
			t.Errorf("%d were told in the end, the last is %+v", len(heard), last.Event)
		}
		for i := range heard[1:] {
			if heard[i].Event.Seq >= heard[i+1].Event.Seq {
				t.Fatal("the order is not kept")
			}
		}
		if s := b.Summary(); s.OpenNotices+s.Failing != 0 || s.Lag != 0 {
			t.Errorf("summary %+v", s)
		}
		// The next burst is told again.
		b.count()
		out.listen(hang)
		for i := range 300 {
			b.Tell(numbered(uint64(2000 + i)))
		}
		synctest.Wait()
		if n := b.count(); n[event.DeliveryFailed] != 1 {
			t.Errorf("events %v", n)
		}
	})
}

func TestTellingNeverHoldsUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		out := &listener{}
		out.listen(func(context.Context, sink.Notice) error { <-let; return nil })
		b := start(t, lifecycleOnly(out), newRecords())
		b.Tell(numbered(1))
		pass(time.Second)
		b.stop() // within six seconds
		close(let)
	})
}

func TestGoneWhileTellingDisables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &listener{}
		out.listen(func(context.Context, sink.Notice) error { return fmt.Errorf("410: %w", sink.ErrGone) })
		b := start(t, lifecycleOnly(out), newRecords())
		b.Tell(numbered(1))
		b.Tell(numbered(2))
		pass(time.Hour)
		if _, calls := out.take(); calls != 1 {
			t.Errorf("%d tries", calls)
		}
		if s := b.Summary(); !s.Disabled || s.DisabledBy != "the receiver" || s.OpenNotices != 0 {
			t.Errorf("summary %+v", s)
		}
		out.listen(nil)
		b.Enable()
		b.Tell(numbered(3))
		pass(time.Minute)
		if heard, _ := out.take(); len(heard) != 1 || heard[0].Event.Seq != 3 {
			t.Errorf("heard %+v", heard)
		}
	})
}
