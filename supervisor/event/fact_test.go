package event_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// nudged says whether the bus was nudged since the last call.
func nudged(bus *event.Bus) bool {
	select {
	case <-bus.Nudged():
		return true
	default:
		return false
	}
}

func TestFactsAreKeptUntilTheyAreOver(t *testing.T) {
	now := time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)
	bus := event.NewBus(slog.New(slog.DiscardHandler), func() time.Time { return now })
	told := bus.Subscribe(10)
	defer told.Close()
	facts := bus.NewFacts()
	began := now
	for range 2 {
		facts.Meet(slog.LevelError, event.Event{Type: event.DiskTrouble, Provider: "schwab", Account: "main", Message: "full"})
		if e := <-told.C; e.Alert || e.Account != "main" || e.Message != "full" {
			t.Errorf("told %+v", e)
		}
		if !nudged(bus) {
			t.Error("nobody looks")
		}
		now = now.Add(time.Minute)
	}
	want := event.Fact{Type: event.DiskTrouble, Provider: "schwab", Account: "main", Since: began, At: began.Add(time.Minute), What: "full"}
	if all := facts.All(); len(all) != 1 || all[0] != want {
		t.Errorf("kept %+v, want %+v", all, want)
	}
	// What an earlier run has met is older.
	facts.Keep(event.Fact{Type: event.DiskTrouble, Provider: "schwab", Account: "main", Since: began.Add(-time.Hour), At: began.Add(-time.Minute), What: "it was full"})
	want.Since = began.Add(-time.Hour)
	if all := facts.All(); len(all) != 1 || all[0] != want {
		t.Errorf("kept %+v, want %+v", all, want)
	}
	nudged(bus)
	facts.End(event.DiskTrouble, "other")
	facts.End(event.RivalRefresher, "main")
	if len(facts.All()) != 1 || nudged(bus) {
		t.Error("another trouble's end ends this one")
	}
	facts.End(event.DiskTrouble, "main")
	if len(facts.All()) != 0 || !nudged(bus) {
		t.Error("it is not over, or nobody looks")
	}
}

// What nobody has met for long counts as over.
func TestFactsFade(t *testing.T) {
	now := time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)
	bus := event.NewBus(slog.New(slog.DiscardHandler), func() time.Time { return now })
	facts := bus.NewFacts()
	for _, of := range []event.Type{event.RivalRefresher, event.PlanMended, event.DiskTrouble, event.StoreRestored, event.StoreDisplaced} {
		facts.Meet(slog.LevelError, event.Event{Type: of, Account: "main"})
	}
	for _, after := range []struct {
		pass time.Duration
		kept int
	}{{9 * time.Minute, 5}, {time.Minute, 4}, {time.Hour, 1}, {22 * time.Hour, 1}, {time.Hour, 0}} {
		now = now.Add(after.pass)
		if n := len(facts.All()); n != after.kept {
			t.Errorf("%d are kept, want %d", n, after.kept)
		}
	}
}

// A trouble that is met again and again is one line in the log, and an event each
// time.
func TestATroubleIsOneLine(t *testing.T) {
	now := time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	bus := event.NewBus(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	told := bus.Subscribe(10)
	defer told.Close()
	facts := bus.NewFacts()
	meet := func(what string) {
		facts.Meet(slog.LevelError, event.Event{Type: event.DiskTrouble, Account: "main", Message: what})
		now = now.Add(time.Minute)
	}
	lines := func(want int) {
		t.Helper()
		if n := strings.Count(log.String(), "\n"); n != want {
			t.Errorf("%d lines, want %d:\n%s", n, want, log.String())
		}
	}
	for range 3 {
		meet("full")
	}
	lines(1)
	meet("broken") // is another
	lines(2)
	facts.End(event.DiskTrouble, "main")
	meet("broken")
	lines(3)
	now = now.Add(time.Hour) // it was over
	meet("broken")
	lines(4)
	if n := len(told.C); n != 6 {
		t.Errorf("%d events, want 6", n)
	}
}
