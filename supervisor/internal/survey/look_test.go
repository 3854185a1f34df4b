package survey

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// BenchmarkSnapshot is what one look of many at 100,000 accounts and 50 sinks costs
// beside the alert engine's own part. In short it is five thousand.
func BenchmarkSnapshot(b *testing.B) {
	accounts := 100_000
	if testing.Short() {
		accounts = 5000
	}
	s := crowded(b, accounts)
	for n := range 50 {
		name := fmt.Sprint("sink-", n)
		s.cfg.Roster.Now().Workers[name] = sink.NewWorker(sink.WorkerConfig{Name: name, Store: newStore(b)})
	}
	asked := map[string]bool{}
	if shot := s.Take(asked); len(shot.Accounts) != accounts || len(shot.Sinks) != 50 {
		b.Fatalf("%d accounts, %d sinks", len(shot.Accounts), len(shot.Sinks))
	}
	b.ReportAllocs()
	for b.Loop() {
		if shot := s.Take(asked); len(shot.Accounts) != inTurn || len(shot.Sinks) != 50 {
			b.Fatalf("%d accounts, %d sinks", len(shot.Accounts), len(shot.Sinks))
		}
	}
}

// crowded is a survey of so many accounts, in which nothing runs.
func crowded(t testing.TB, accounts int) *Survey {
	t.Helper()
	cfg := &config.Config{Accounts: map[string]config.Account{}}
	for n := range accounts {
		a := config.Account{Name: fmt.Sprintf("customer-%06d", n), Provider: []string{"saxo", "schwab"}[n%2]}
		cfg.Accounts[a.Name] = a
	}
	log, st, r := slog.New(slog.DiscardHandler), newStore(t), roster.New(cfg)
	bus := event.NewBus(log, time.Now)
	for _, provider := range []string{"saxo", "schwab"} {
		var all []refresh.Account
		for _, c := range cfg.AccountsOf(provider) {
			all = append(all, r.Now().Account(c))
		}
		k, err := refresh.NewKeeper(t.Context(), refresh.Config{
			Provider: provider, Accounts: all, Store: st, Wake: func(string) {}, Events: bus, Log: log, Wall: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Now().Keepers[provider] = k
		r.Now().Beats[provider] = keepalive.New(keepalive.Config{Provider: provider, Accounts: k, Events: bus, Log: log, Wall: time.Now})
		r.Now().Members[provider] = process.New(process.Config{Name: provider, Work: process.Refreshing(k), Events: bus, Log: log, Now: time.Now})
	}
	owner, err := ownership.Recognise(t.Context(), ownership.Config{Guard: "off", Store: st, Events: bus, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Roster: r, Store: st, Facts: bus.NewFacts(), Ownership: owner, Wall: time.Now})
}

// The first token of an account with a shared file may stand there: it is called
// missing only after a look.
func TestAFirstTokenThatWasNotLookedForIsNotMissing(t *testing.T) {
	s := crowded(t, 3)
	var log bytes.Buffer
	a := s.cfg.Roster.Now().Config.Accounts["customer-000001"]
	a.SharedFile = &config.SharedFile{Path: "/shared/token.json"}
	s.cfg.Roster.Now().Config.Accounts[a.Name] = a
	for shared, want := range map[bool]string{
		false: "no token yet of: customer-000000, customer-000002; log in with: tokenkeeper login customer-000000",
		true:  "no token yet of: customer-000001; log in",
	} {
		log.Reset()
		s.TellTokenless(shared, slog.New(slog.NewTextHandler(&log, nil)))
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A look sees all accounts at first, and then those that are asked for, those
// that have changed, and everybody in turn.
func TestWhoseTurnItIsToBeLookedAt(t *testing.T) {
	s := crowded(t, 2*inTurn+500)
	if shot := s.Take(map[string]bool{}); len(shot.Accounts) != 2*inTurn+500 {
		t.Errorf("at first %d accounts are looked at", len(shot.Accounts))
	}
	seen, last := map[string]bool{}, fmt.Sprintf("customer-%06d", 2*inTurn+499)
	for turn := range 3 {
		// One that was imported has changed; what is not configured any more is
		// in no snapshot.
		changed := fmt.Sprintf("customer-%06d", 2*inTurn-1-turn)
		k := s.cfg.Roster.Now().Keepers[s.cfg.Roster.Now().Config.Accounts[changed].Provider]
		if _, err := k.Import(t.Context(), store.Record{
			Account: changed, LoginAt: time.Now(), Token: sdk.Token{RefreshToken: sdk.NewSecret("r-" + changed), AccessToken: sdk.NewSecret("a"), IssuedAt: time.Now(), Lifetime: time.Hour},
		}, false); err != nil {
			t.Fatal(err)
		}
		shot := s.Take(map[string]bool{last: true, "gone": true})
		names := map[string]bool{}
		for _, a := range shot.Accounts {
			names[a.Name], seen[a.Name] = true, true
		}
		if !names[last] || !names[changed] || names["gone"] || len(names) > inTurn+2 {
			t.Errorf("%d are looked at; asked for %v, changed %v, not configured %v", len(names), names[last], names[changed], names["gone"])
		}
	}
	if len(seen) != 2*inTurn+500 {
		t.Errorf("%d were looked at in three turns", len(seen))
	}
}
