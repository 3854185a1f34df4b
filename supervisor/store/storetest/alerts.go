package storetest

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// testTries: how the newest try went is noted beside what the sink has, which
// no failure takes away.
func testTries(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	has := store.Delivery{Sink: "bot", Account: "main", Version: 3, At: at(3), Latency: time.Second}
	failed := store.Tried{Sink: "bot", Account: "main", Version: 4, At: at(4), Result: store.ResultFailed, Error: "HTTP 503", Failures: 2}
	refused := store.Tried{Sink: "bot", Account: "main", Version: 5, At: at(5), Result: store.ResultRefused, Error: "too long", Failures: 1}
	never := store.Tried{Sink: "bot", Account: "never", Version: 1, At: at(1), Result: store.ResultFailed, Error: "HTTP 401", Failures: 9}

	line := func(d store.Delivery, tried store.Tried) store.Delivery {
		d.Sink, d.Account = tried.Sink, tried.Account
		d.Result, d.TriedVersion, d.TriedAt = tried.Result, tried.Version, tried.At
		d.Error, d.Failures = tried.Error, tried.Failures
		return d
	}
	check := func(when string, want store.Delivery) {
		t.Helper()
		for _, when := range []string{when, when + ", reopened"} {
			for _, want := range []store.Delivery{want, line(store.Delivery{}, never)} {
				if got := ledger(t, s, "bot", want.Account); !sameDelivery(got, want) {
					t.Errorf("%s: %+v, want %+v", when, got, want)
				}
			}
			s = reopen(t, s, o)
		}
	}
	must(t, s.MarkTried(ctx, never))
	must(t, s.MarkDelivered(ctx, has))
	check("delivered", delivered(has))
	must(t, s.MarkTried(ctx, failed))
	check("the next failed", line(has, failed))
	must(t, s.MarkTried(ctx, refused))
	must(t, s.MarkTried(ctx, failed)) // an older one
	check("the one after was refused", line(has, refused))
	has.Version, has.At = 4, at(6)
	must(t, s.MarkDelivered(ctx, has)) // it was under way
	check("an older one arrived", line(has, refused))
	has.Version, has.At = 6, at(7)
	must(t, s.MarkDelivered(ctx, has))
	check("the newest arrived", delivered(has))

	if s.MarkTried(ctx, store.Tried{Sink: "bot", Account: "main", Version: 7, Result: store.ResultDelivered}) == nil {
		t.Error("a try that succeeded was noted as one that did not")
	}
}

func testAlerts(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	login := event.Alert{
		Key: "needs_login:main", Type: event.NeedsLogin, State: event.AlertRaised, Version: 1 << 50, Provider: "saxo", Account: "main",
		Message: "log <in> \"again\"", Since: start, ChangedAt: start,
	}
	disk := event.Alert{Key: "disk_trouble:*", Type: event.DiskTrouble, State: event.AlertRaised, Version: 1, Message: "full", Since: start, ChangedAt: start}
	check := func(when string, want ...event.Alert) {
		t.Helper()
		got, err := s.Alerts(ctx)
		must(t, err)
		same := len(got) == len(want)
		for n := range want {
			same = same && sameAlert(got[n], want[n])
		}
		if !same {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	told := func(key string) uint64 { return ledger(t, s, "chat", key).Version }
	check("at first")
	must(t, s.DropAlert(ctx, login.Key, login.Version))
	must(t, s.SaveAlert(ctx, login))
	must(t, s.SaveAlert(ctx, disk))
	for _, a := range []event.Alert{login, disk} {
		must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "chat", Account: a.Key, Version: a.Version, At: start}))
	}
	check("raised", disk, login)
	s = reopen(t, s, o)
	check("reopened", disk, login)

	login.State, login.Version, login.ChangedAt = event.AlertRecovered, login.Version+1, start.Add(time.Hour)
	must(t, s.SaveAlert(ctx, login))
	check("recovered", disk, login)
	// What waits to be written is dropped as well.
	must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "chat", Account: login.Key, Version: login.Version, At: start}))
	must(t, s.MarkTried(ctx, store.Tried{Sink: "mail", Account: login.Key, Version: login.Version, Result: store.ResultFailed}))
	wantErr(t, s.DropAlert(ctx, login.Key, login.Version-1), store.ErrConflict) // raised anew since
	must(t, s.DropAlert(ctx, login.Key, login.Version))
	for _, when := range []string{"dropped", "dropped and reopened"} {
		check(when, disk)
		if told(login.Key) != 0 || told(disk.Key) != 1 {
			t.Errorf("%s: the ledger says %d of the alert, and %d of the other", when, told(login.Key), told(disk.Key))
		}
		if mail := ledger(t, s, "mail", login.Key); mail != (store.Delivery{}) {
			t.Errorf("%s: the ledger of another sink says %+v", when, mail)
		}
		s = reopen(t, s, o)
	}

	// Its name must be one that a key can hold.
	if s.SaveAlert(ctx, event.Alert{Key: "a/b"}) == nil || s.SaveAlert(ctx, event.Alert{}) == nil {
		t.Error("an alert was stored that could not be found again")
	}
	must(t, s.Close())
	wantErr(t, s.SaveAlert(ctx, login), store.ErrClosed)
	wantErr(t, s.DropAlert(ctx, disk.Key, disk.Version), store.ErrClosed)
	_, err := s.Alerts(ctx)
	wantErr(t, err, store.ErrClosed)
}
