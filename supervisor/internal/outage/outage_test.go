package outage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/outage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// kept is an account at version 7, whose token came at noon and lives for half an hour.
func kept() refresh.Status {
	return refresh.Status{Planned: 5 * time.Minute, Record: store.Record{
		Version: 7, StoredAt: noon, Token: sdk.Token{AccessToken: sdk.NewSecret("a"), IssuedAt: noon, Lifetime: 30 * time.Minute},
	}}
}

// The budget is that of the consumers who have it worst, of those who are there.
func TestRead(t *testing.T) {
	newest, older := sink.Status{Version: 7}, sink.Status{Version: 6, Expiry: noon.Add(5 * time.Minute)}
	with := func(s sink.Status, change func(*sink.Status)) sink.Status { change(&s); return s }
	for name, tt := range map[string]struct {
		change func(*refresh.Status)
		has    []outage.Held
		want   time.Duration // after noon; -1: nobody knows
		sink   string
	}{
		"no sinks":               {want: 30 * time.Minute},
		"the newest":             {has: []outage.Held{{"bot", newest}}, want: 30 * time.Minute, sink: "bot"},
		"one lags":               {has: []outage.Held{{"bot", newest}, {"file", older}}, want: 5 * time.Minute, sink: "file"},
		"who lags is not there":  {has: []outage.Held{{"bot", newest}, {"file", with(older, func(s *sink.Status) { s.Absent = true })}}, want: 30 * time.Minute, sink: "bot"},
		"who lags is disabled":   {has: []outage.Held{{"file", with(older, func(s *sink.Status) { s.Disabled = true })}}, want: 30 * time.Minute},
		"one is new":             {has: []outage.Held{{"bot", newest}, {"new", sink.Status{}}}, want: 30 * time.Minute, sink: "bot"},
		"one never took any":     {has: []outage.Held{{"bot", newest}, {"new", sink.Status{Failures: 1}}}, want: 0, sink: "new"},
		"an older ledger's line": {has: []outage.Held{{"bot", sink.Status{Version: 6}}}, want: -1},
		"a refresh ends the one before": {
			change: func(k *refresh.Status) { k.OldAccessDies = true }, has: []outage.Held{{"file", older}}, want: 0, sink: "file",
		},
		"no token yet":                 {change: func(k *refresh.Status) { k.Record = store.Record{} }, want: -1},
		"a refresh token alone":        {change: func(k *refresh.Status) { k.Record.Token.AccessToken = sdk.Secret{} }, want: -1},
		"an end that nobody knows":     {change: func(k *refresh.Status) { k.Record.Token.Lifetime = 0 }, has: []outage.Held{{"bot", newest}}, want: -1},
		"a sink of a restored backup ": {has: []outage.Held{{"bot", sink.Status{Version: 9, Expiry: noon}}}, want: 30 * time.Minute, sink: "bot"},
	} {
		k := kept()
		if tt.change != nil {
			tt.change(&k)
		}
		got := outage.Read(k, tt.has)
		if got.Known() != (tt.want >= 0) || got.Known() && (!got.Until.Equal(noon.Add(tt.want)) || got.Sink != tt.sink || got.Planned != k.Planned || got.Behind != (tt.want < 30*time.Minute)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The least of a day is what was left when the next token was delivered, to the second,
// also if nobody looked then; it is forgotten after a day, and what is seen once between
// two deliveries does not count.
func TestWorst(t *testing.T) {
	w, now := outage.NewWatch(), noon
	saw := func(until time.Time, by string, since time.Time) {
		w.Saw("main", outage.Reading{Until: until, Sink: by, Since: since}, now)
	}
	worst := func(when string, want time.Duration) {
		t.Helper()
		if got, ok := w.Worst("main", now); got != want || ok != (want > 0) {
			t.Errorf("%s: %s, %t; want %s", when, got, ok, want)
		}
	}
	worst("before anything was seen", 0)
	first, got := noon.Add(30*time.Minute), noon
	saw(first, "bot", got)
	worst("seen once", 0)
	for now.Before(noon.Add(24*time.Minute + 30*time.Second)) {
		now = now.Add(30 * time.Second)
		saw(first, "bot", got)
	}
	worst("seen again and again", 5*time.Minute+30*time.Second)
	got, now = noon.Add(25*time.Minute+13*time.Second), noon.Add(25*time.Minute+30*time.Second)
	second := got.Add(30 * time.Minute)
	saw(second, "bot", got)
	worst("delivered between two looks", 4*time.Minute+47*time.Second)
	now = now.Add(time.Second)
	saw(noon.Add(-time.Hour), "back", noon.Add(-2*time.Hour))
	now = now.Add(time.Second)
	saw(second, "bot", got)
	worst("a consumer came back, and has not the newest for a moment", 4*time.Minute+47*time.Second)
	for now = now.Add(20 * time.Hour); now.Before(noon.Add(30 * time.Hour)); now = now.Add(time.Hour) {
		saw(now.Add(80*time.Minute), "bot", now)
		saw(now.Add(80*time.Minute), "bot", now)
	}
	worst("a day later", 20*time.Minute)
	now = now.Add(-48 * time.Hour)
	saw(now.Add(time.Minute), "bot", now)
	saw(now.Add(time.Minute), "bot", now)
	worst("with a clock that was set back", time.Minute)
	w.Keep(func(string) bool { return false })
	worst("of an account that is gone", 0)
}

// It is short below half of what is planned, and for how long counts by a clock that
// nobody sets.
func TestShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := outage.NewWatch()
		saw := func(left, planned time.Duration) time.Duration {
			return w.Saw("main", outage.Reading{Until: noon.Add(left), Planned: planned}, noon)
		}
		for _, tt := range []struct{ left, planned, short time.Duration }{
			{150 * time.Second, 5 * time.Minute, 0},
			{149 * time.Second, 5 * time.Minute, 1},
			{-time.Hour, 5 * time.Minute, 30 * time.Second},
			{time.Second, 5 * time.Minute, time.Minute},
			{time.Second, 0, 0},
			{time.Second, 5 * time.Minute, 1},
		} {
			if got := saw(tt.left, tt.planned); got != tt.short {
				t.Errorf("%s left of %s planned: short for %s, want %s", tt.left, tt.planned, got, tt.short)
			}
			time.Sleep(30 * time.Second)
		}
		if got := w.Saw("main", outage.Reading{}, noon); got != 0 {
			t.Errorf("nobody knows: short for %s", got)
		}
	})
}
