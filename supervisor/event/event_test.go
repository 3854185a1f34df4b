package event_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestEventsAreNumberedLoggedAndNeverWaitedFor(t *testing.T) {
	var log bytes.Buffer
	now := time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)
	bus := event.NewBus(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	quick, slow := bus.Subscribe(10), bus.Subscribe(1)
	defer quick.Close()
	for range 3 {
		bus.Publish(slog.LevelWarn, event.Event{
			Type: event.RefreshFailed, Account: "main", Failures: 3, Max: 5, Message: "it failed", Next: now,
		})
	}
	for want := uint64(1); want <= 3; want++ {
		if e := <-quick.C; e.Seq != want || !e.Time.Equal(now) {
			t.Errorf("event %d at %s, want %d at %s", e.Seq, e.Time, want, now)
		}
	}
	if e := <-slow.C; e.Seq != 1 {
		t.Errorf("the slow reader got event %d first, want 1", e.Seq)
	}
	slow.Close()
	bus.Publish(slog.LevelInfo, event.Event{Type: event.Recovered, Message: "over"})
	select {
	case e := <-slow.C:
		t.Errorf("a closed subscription got event %d", e.Seq)
	default:
	}
	if line, _, _ := strings.Cut(log.String(), "\n"); !strings.Contains(line,
		`level=WARN msg="it failed" event=refresh_failed account=main failures=3 max_failures=5 next=2028-02-29T12:00:00.000Z`) {
		t.Errorf("logged: %s", line)
	}
	if n := strings.Count(log.String(), "\n"); n != 4 {
		t.Errorf("%d lines were logged, want 4", n)
	}
}

func TestObserversMissNothing(t *testing.T) {
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	bus.Publish(slog.LevelInfo, event.Event{Type: event.ProviderStarted})
	var first, second []uint64
	bus.Observe(func(e event.Event) { first = append(first, e.Seq) })
	bus.Observe(func(e event.Event) { second = append(second, e.Seq) })
	for range 2000 {
		bus.Publish(slog.LevelDebug, event.Event{Type: event.Refreshed})
	}
	if len(first) != 2000 || first[0] != 2 || first[1999] != 2001 {
		t.Errorf("the first observer got %d events: %d …", len(first), first[:min(4, len(first))])
	}
	if len(second) != 2000 || second[0] != 2 {
		t.Errorf("the second observer got %d events", len(second))
	}
}

// Who wants some events alone has them numbered as if there were no others, and a gap only
// where he has lost one of his own.
func TestSubscribeTo(t *testing.T) {
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	sub := bus.SubscribeTo(2, func(e event.Event) bool { return e.Account == "main" })
	all := bus.Subscribe(10)
	publish := func(accounts ...string) {
		for _, account := range accounts {
			bus.Publish(slog.LevelDebug, event.Event{Type: event.Refreshed, Account: account})
		}
	}
	publish("other", "main", "", "other", "main", "main", "other")
	for _, want := range []uint64{1, 2} {
		if e := <-sub.C; e.Seq != want || e.Account != "main" {
			t.Errorf("got %+v, want the number %d", e, want)
		}
	}
	publish("main")
	if e := <-sub.C; e.Seq != 4 {
		t.Errorf("after a lost one: %d", e.Seq)
	}
	for want := range uint64(8) {
		if e := <-all.C; e.Seq != want+1 {
			t.Errorf("the others see %d, want %d", e.Seq, want+1)
		}
	}
}

// An observer of acts is told of them, and of everything else.
func TestObserveAudited(t *testing.T) {
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	var plain, audited []event.Type
	bus.Observe(func(e event.Event) { plain = append(plain, e.Type) })
	bus.ObserveAudited(func(e event.Event) { audited = append(audited, e.Type) })
	bus.Publish(slog.LevelDebug, event.Event{Type: event.Refreshed})
	bus.Publish(slog.LevelDebug, event.Event{Type: event.Audit})
	if len(plain) != 1 || len(audited) != 2 || audited[1] != event.Audit {
		t.Errorf("told of %v, and of %v", plain, audited)
	}
}
