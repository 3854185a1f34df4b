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

func alertsOnly(out sink.Sink, on *board) sink.WorkerConfig {
	return sink.WorkerConfig{Sink: out, Kinds: []sink.Kind{sink.KindAlert}, Alerts: on}
}

func TestCheckWorker(t *testing.T) {
	all := []sink.Kind{sink.KindToken, sink.KindAlert, sink.KindLifecycle}
	for _, c := range []struct {
		name string
		cfg  sink.WorkerConfig
		want string // "": fine
	}{
		{"tokens by default", sink.WorkerConfig{Sink: &receiver{}}, ""},
		{"everything", sink.WorkerConfig{Sink: &listener{}, Kinds: all, Alerts: newBoard()}, ""},
		{"alerts to a sink of tokens", sink.WorkerConfig{Sink: &receiver{}, Kinds: []sink.Kind{sink.KindAlert}, Alerts: newBoard()}, "takes tokens only"},
		{"events to a sink of tokens", sink.WorkerConfig{Sink: &receiver{}, Kinds: []sink.Kind{sink.KindLifecycle}}, "takes tokens only"},
		{"alerts from nowhere", sink.WorkerConfig{Sink: &listener{}, Kinds: []sink.Kind{sink.KindAlert}}, "nothing here raises any"},
		{"unknown", sink.WorkerConfig{Sink: &listener{}, Kinds: []sink.Kind{"gossip"}}, `no kind of event "gossip"`},
	} {
		c.cfg.Name = "bot"
		err := sink.CheckWorker(c.cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"bot"`)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAlertsArriveWithoutAnyToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, on, out := newRecords(), newBoard(), &listener{}
		r.next("a")
		b := start(t, alertsOnly(out, on), r)
		b.refresh("a")
		b.raise(on, "a", event.AlertRaised)
		pass(time.Second)
		heard, _ := out.take()
		if len(heard) != 1 {
			t.Fatalf("%d notices, want 1", len(heard))
		}
		n := heard[0]
		if n.Kind != sink.KindAlert || n.Event != nil || n.Test || n.Alert.State != event.AlertRaised || n.Alert.Account != "a" || !strings.HasPrefix(n.ID, "msg_") {
			t.Errorf("notice %+v", n)
		}
		b.raise(on, "a", event.AlertRepeated)
		pass(time.Second)
		b.raise(on, "a", event.AlertRecovered)
		pass(time.Second)
		heard, _ = out.take()
		if len(heard) != 2 || heard[0].ID == heard[1].ID || heard[1].Alert.Message != "log in to a" {
			t.Errorf("notices %+v", heard)
		}
		if out.tried() > 0 || r.loads+r.lists > 0 || b.Takes("a") {
			t.Errorf("%d tokens went to a sink of alerts, %d were read", out.tried(), r.loads)
		}
		if n := b.count(); n[event.Delivered] != 3 || len(n) != 1 {
			t.Errorf("events %v", n)
		}
	})
}

func TestOnlyWantedAlertsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, out := newBoard(), &listener{}
		cfg := alertsOnly(out, on)
		cfg.WantsAlert = func(a event.Alert) bool { return a.Account == "mine" }
		on.change("theirs", event.AlertRaised)
		b := start(t, cfg, newRecords())
		b.raise(on, "mine", event.AlertRaised)
		b.raise(on, "theirs", event.AlertRepeated)
		pass(time.Hour)
		if heard, calls := out.take(); len(heard) != 1 || calls != 1 || heard[0].Alert.Account != "mine" {
			t.Errorf("heard %+v", heard)
		}
		if s := b.Summary(); s.OpenNotices != 0 {
			t.Errorf("%d notices are open", s.OpenNotices)
		}
	})
}

func TestAlertIsToldAtLeastOnceOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, on, out := newRecords(), newBoard(), &listener{}
		out.listen(func(context.Context, sink.Notice) error { return errors.New("no network") })
		b := start(t, alertsOnly(out, on), r)
		for i := range 10 {
			b.raise(on, fmt.Sprint("a", i), event.AlertRaised)
		}
		pass(time.Minute)
		b.stop()
		out.take()
		out.listen(nil)
		b = start(t, alertsOnly(out, on), r)
		pass(time.Second)
		if heard, _ := out.take(); len(heard) != 10 {
			t.Fatalf("%d of 10 alerts were told after the restart", len(heard))
		}
		b.stop()

		// What the ledger lost is told again, with the same id.
		r.loseAll = true
		b = start(t, alertsOnly(out, on), r)
		b.raise(on, "a0", event.AlertRepeated)
		pass(time.Second)
		once, _ := out.take()
		b.stop()
		r.loseAll = false
		b = start(t, alertsOnly(out, on), r)
		pass(time.Second)
		twice, _ := out.take()
		if len(once) != 1 || len(twice) != 1 || once[0].ID != twice[0].ID {
			t.Errorf("told %d and then %d times", len(once), len(twice))
		}
		b.stop()

		// A restart tells only what is missing.
		on.change("a7", event.AlertRepeated)
		start(t, alertsOnly(out, on), r)
		pass(time.Hour)
		if heard, _ := out.take(); len(heard) != 1 || heard[0].Alert.Account != "a7" {
			t.Errorf("told %+v", heard)
		}
	})
}

func TestUnheardAlertThatIsOverIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, on, out := newRecords(), newBoard(), &listener{}
		out.listen(hang)
		b := start(t, alertsOnly(out, on), r)
		since := b.raise(on, "a", event.AlertRaised).Since
		pass(20 * time.Minute)
		b.raise(on, "a", event.AlertRecovered)
		out.listen(nil)
		pass(time.Hour)
		heard, _ := out.take()
		if len(heard) != 1 || heard[0].Alert.State != event.AlertRecovered ||
			!strings.Contains(heard[0].Alert.Message, "lasted from "+since.UTC().Format(time.RFC3339)) {
			t.Fatalf("heard %+v", heard)
		}
		// The next one on the same account, heard of, is plain again.
		pass(time.Minute)
		b.raise(on, "a", event.AlertRaised)
		pass(time.Minute)
		b.raise(on, "a", event.AlertRecovered)
		pass(time.Minute)
		heard, _ = out.take()
		if len(heard) != 2 || strings.Contains(heard[1].Alert.Message, "lasted") {
			t.Errorf("heard %+v", heard)
		}
		// Of one that came and went unheard, it says so again.
		out.listen(hang)
		b.raise(on, "a", event.AlertRaised)
		pass(time.Minute)
		b.raise(on, "a", event.AlertRecovered)
		out.listen(nil)
		pass(time.Hour)
		if heard, _ = out.take(); len(heard) != 1 || !strings.Contains(heard[0].Alert.Message, "lasted") {
			t.Errorf("heard %+v", heard)
		}
		b.stop()
		start(t, alertsOnly(out, on), r)
		pass(time.Hour)
		if heard, _ = out.take(); len(heard) != 0 {
			t.Errorf("told again after a restart: %+v", heard)
		}
	})
}

func TestAlertThatWasDroppedMayCountFromOneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, out := newBoard(), &listener{}
		cfg := alertsOnly(out, on)
		// The clock will be set back before the alert is raised anew.
		cfg.Wall = func() time.Time { return time.Now().Add(time.Hour) }
		b := start(t, cfg, newRecords())
		for _, state := range []event.AlertState{event.AlertRaised, event.AlertRepeated, event.AlertRecovered} {
			b.raise(on, "a", state)
			pass(time.Minute)
		}
		out.take()
		b.stop() // a version is used again only by another run
		on.drop("needs_login:a")
		b.records.drop("needs_login:a")
		b = start(t, cfg, b.records)
		pass(time.Minute)
		b.raise(on, "a", event.AlertRaised)
		pass(time.Minute)
		if heard, _ := out.take(); len(heard) != 1 || heard[0].Alert.Version != 1 {
			t.Errorf("heard %+v", heard)
		}
	})
}

func TestAlertDoesNotWaitBehindTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, out := newBoard(), &listener{}
		out.set(func(context.Context, sink.Delivery) error { time.Sleep(time.Second); return nil })
		cfg := alertsOnly(out, on)
		cfg.Kinds = append(cfg.Kinds, sink.KindToken)
		b := start(t, cfg, newRecords())
		for i := range 1000 {
			b.refresh(fmt.Sprint("a", i))
		}
		pass(time.Second / 2)
		b.raise(on, "a1", event.AlertRaised)
		pass(time.Second)
		if heard, _ := out.take(); len(heard) != 1 {
			t.Error("an alert waits behind a thousand tokens")
		}
		pass(time.Hour)
		if s := b.Summary(); s.UpToDate != 1000 || s.OpenNotices != 0 {
			t.Errorf("summary %+v", s)
		}
	})
}

func TestNewestStateOfAnAlertIsToldFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, out := newBoard(), &listener{}
		out.listen(hang)
		b := start(t, alertsOnly(out, on), newRecords())
		b.raise(on, "a", event.AlertRaised)
		for range 5 {
			pass(time.Second)
			b.raise(on, "a", event.AlertRepeated)
		}
		out.listen(nil)
		pass(time.Hour)
		heard, _ := out.take()
		if len(heard) != 1 || heard[0].Alert.Version != 6 {
			t.Errorf("heard %+v", heard)
		}
	})
}
