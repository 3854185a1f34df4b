package survey

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// newStore is an open one.
func newStore(t testing.TB) *store.Journal {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "state"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// told is who is told of alerts.
func told() Audience {
	alerts := []string{config.SendAlert}
	return Audience{&config.Config{
		Accounts: map[string]config.Account{
			"main":  {Name: "main", Provider: "schwab"},
			"other": {Name: "other", Provider: "schwab"},
			"live":  {Name: "live", Provider: "saxo"},
		},
		Sinks: map[string]config.Sink{
			"all":    {Name: "all", Events: alerts},
			"main":   {Name: "main", Events: alerts, Accounts: []string{"ma*"}},
			"saxo":   {Name: "saxo", Events: alerts, Providers: []string{"saxo"}},
			"tokens": {Name: "tokens", Events: []string{config.SendToken}},
		},
	}}
}

func TestAlertConcerns(t *testing.T) {
	audience := told()
	tests := []struct {
		name  string
		alert event.Alert
		want  []string
	}{
		{"an account", event.Alert{Account: "main", Provider: "schwab"}, []string{"all", "main"}},
		{"another account of that provider", event.Alert{Account: "other", Provider: "schwab"}, []string{"all"}},
		{"a provider", event.Alert{Provider: "schwab"}, []string{"all", "main"}},
		{"another provider", event.Alert{Provider: "saxo"}, []string{"all", "saxo"}},
		{"the disk", event.Alert{}, []string{"all", "main", "saxo"}},
		{"a sink", event.Alert{Sink: "tokens"}, []string{"all", "main", "saxo"}},
		{"the sink itself", event.Alert{Sink: "all"}, []string{"main", "saxo"}},
	}
	for _, tt := range tests {
		var got []string
		for name, c := range audience.Config.Sinks {
			if c.Sends(config.SendAlert) && audience.Concerns(c, tt.alert) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("an alert about %s goes to %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAlertTold(t *testing.T) {
	st, audience := newStore(t), told()
	a := event.Alert{Key: "needs_login:schwab", Provider: "schwab", Version: 7, Affected: []event.Affected{{Account: "main", Version: 7}}}
	check := func(when string, want bool) {
		t.Helper()
		if got := audience.Told(t.Context(), st, a); got != want {
			t.Errorf("%s: told is %v", when, got)
		}
	}
	check("at first", false)
	err := st.MarkDelivered(t.Context(), store.Delivery{Sink: "all", Account: a.Key, Version: 7})
	check("one was told", false)
	err = errors.Join(err, st.MarkDelivered(t.Context(), store.Delivery{Sink: "main", Account: a.Key, Version: 6}))
	check("the other knows an older state", false)
	err = errors.Join(err, st.MarkTried(t.Context(), store.Tried{Sink: "main", Account: a.Key, Version: 7, Result: store.ResultFailed}))
	check("the other could not be told", false)
	err = errors.Join(err, st.MarkTried(t.Context(), store.Tried{Sink: "main", Account: a.Key, Version: 7, Result: store.ResultRefused}))
	check("the other does not take it", true)
	if err != nil {
		t.Fatal(err)
	}
	a.Version, a.Affected[0].Version = 8, 8
	check("a newer state", false)
}

// However old the token is that waits: a consumer that has never come has time
// from the start.
func TestAConsumerThatNeverCame(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		is      sink.Summary
		started time.Duration
		waited  time.Duration
	}{
		{sink.Summary{Absent: true, Lag: 72 * time.Hour, AbsentBecause: "nobody listens"}, 10 * time.Minute, 10 * time.Minute},
		{sink.Summary{Absent: true, Lag: time.Minute}, time.Hour, time.Minute},
		{sink.Summary{Lag: time.Hour}, time.Hour, 0},
	} {
		if got := sinkAlerts("bot", c.is, now.Add(-c.started), now); got.Waited != c.waited || !got.Since.Equal(now.Add(-c.is.Lag)) || got.AbsentBecause != c.is.AbsentBecause {
			t.Errorf("%+v: %+v", c.is, got)
		}
	}
}

// What the rooms say is what the alerts are raised by.
func TestAlertSnapshot(t *testing.T) {
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	account := config.Account{Name: "main", Provider: "schwab"}
	rec := store.Record{
		Version: 3, StoredAt: at, RefreshExpiry: at.Add(time.Hour), LoginUncertain: true,
		Token:  sdk.Token{IssuedAt: at, Lifetime: 20 * time.Minute},
		Health: store.Health{Failures: 4, LastError: "no such client", LastKind: sdk.KindInvalidClient},
	}
	want := alert.Account{
		Name: "main", Provider: "schwab", StoredAt: at, Renewed: true, Expiry: at.Add(20 * time.Minute), NeedsLogin: true,
		Failures: 4, MaxFailures: 5, Misconfigured: true, LastError: "no such client", AmbiguousSince: at.Add(time.Minute),
		RefreshExpiry: at.Add(time.Hour), Uncertain: true, PolicyKnown: true, Sliding: true,
	}
	status := refresh.Status{Shown: refresh.Shown{State: refresh.NeedsLogin, MaxFailures: 5, AmbiguousSince: at.Add(time.Minute)}, Record: rec, Met: true, EndMoves: true, EndGuessed: true}
	if got := accountAlerts(account, status, at.Add(-time.Second), at); got != want {
		t.Errorf("account: %+v, want %+v", got, want)
	}
	status.Forgiven = at.Add(time.Second)
	if got := accountAlerts(account, refresh.Status{Shown: refresh.Shown{Pause: &store.Pause{Since: at}}}, at, at); got.Pause == "" || !got.PausedSince.Equal(at) {
		t.Errorf("paused: %+v", got)
	}
	if got := accountAlerts(account, status, at, at); !got.AmbiguousSince.IsZero() {
		t.Error("an alert tells of what the server forgives")
	}
	if got := accountAlerts(account, status, at, status.Forgiven); got.AmbiguousSince.IsZero() {
		t.Error("no alert tells of it when that is over")
	}
	status.Met = false // whether or not its provider has said so to others
	if got := accountAlerts(account, status, at.Add(time.Second), at); got.Renewed || got.PolicyKnown {
		t.Errorf("a token of an earlier run, and a broker that nobody has met: %+v", got)
	}
	if got := accountAlerts(account, refresh.Status{Shown: refresh.Shown{State: refresh.New}}, at, at); !got.StoredAt.IsZero() || got.NeedsLogin {
		t.Errorf("no token yet: %+v", got)
	}

	for state, want := range map[process.State]alert.ProcessState{
		process.Running: alert.ProcessRunning, process.Crashing: alert.ProcessCrashing, process.Parked: alert.ProcessParked,
		process.Starting: alert.ProcessUnknown, process.Backoff: alert.ProcessUnknown,
		process.Stopping: alert.ProcessUnknown, process.Stopped: alert.ProcessUnknown,
	} {
		if got := processAlerts("schwab", false, process.Status{State: state}); got.State != want {
			t.Errorf("a process that is %s: %d, want %d", state, got.State, want)
		}
	}

	w := sink.NewWorker(sink.WorkerConfig{Name: "hook", Sink: nil, Store: newStore(t)})
	w.Disable(control.ByPerson)
	if got := sinkAlerts("hook", w.Summary(), at, at); !got.Off || got.Gone {
		t.Errorf("disabled by a person: %+v", got)
	}
	w.Disable("the receiver")
	if got := sinkAlerts("hook", w.Summary(), at, at); got.Off || !got.Gone {
		t.Errorf("disabled by its receiver: %+v", got)
	}
	w.Enable()
	if got := sinkAlerts("hook", w.Summary(), at, at); got.Off || got.Gone {
		t.Errorf("enabled: %+v", got)
	}
}

// What is met before the engine is built is not lost.
func TestEarlyAlertIsRaised(t *testing.T) {
	s := crowded(t, 0)
	s.cfg.Facts.Meet(slog.LevelError, event.Event{Type: event.StoreRestored, Message: "a page is damaged"})
	log := slog.New(slog.DiscardHandler)
	e, err := alert.New(t.Context(), alert.Config{
		Store: newStore(t), Snapshot: s.Take, Wake: func(string) {}, Told: func(context.Context, event.Alert) bool { return false },
		Events: event.NewBus(log, time.Now), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	await(t, func() bool {
		a, ok, _ := e.For(nil).Alert(t.Context(), "store_restored:*")
		return ok && a.State == event.AlertRaised
	})
}

// What an earlier run has told of an account is its keeper's, who says when it is
// over; what is of the store, or of a provider that is configured no more, is not.
func TestWhatAnEarlierRunToldIsItsRooms(t *testing.T) {
	s := crowded(t, 2)
	s.Carry([]event.Fact{
		{Type: event.Untrusted, Provider: "saxo", Account: "customer-000000", At: time.Now()},
		{Type: event.DiskTrouble, At: time.Now()},
		{Type: event.StoreRestored, Provider: "saxo", Account: "customer-000000", At: time.Now()},
		{Type: event.Untrusted, Provider: "gone", Account: "former", At: time.Now()},
	})
	if got := s.cfg.Roster.Now().Keepers["saxo"].Facts(); len(got) != 1 || got[0].Type != event.Untrusted {
		t.Errorf("the keeper has %v", got)
	}
	if got := s.cfg.Facts.All(); len(got) != 3 {
		t.Errorf("the supervisor has %v", got)
	}
}

// await waits until ok says so.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatal("it did not come about within 30 s")
		case <-tick.C:
		}
	}
}
