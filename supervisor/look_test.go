package supervisor

import (
	"fmt"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// BenchmarkSnapshot is what one look at 100,000 accounts and 50 sinks costs
// beside the alert engine's own part.
func BenchmarkSnapshot(b *testing.B) {
	s := alerting(b)
	s.keepers, s.providers, s.workers = map[string]*refresh.Keeper{}, map[string]*process.Member{}, map[string]*sink.Worker{}
	s.opts.Config.Accounts = map[string]config.Account{}
	for n := range 100_000 {
		a := config.Account{Name: fmt.Sprintf("customer-%06d", n), Provider: []string{"saxo", "schwab"}[n%2]}
		s.opts.Config.Accounts[a.Name] = a
	}
	for _, provider := range []string{"saxo", "schwab"} {
		k, err := s.newKeeper(b.Context(), provider, "")
		if err != nil {
			b.Fatal(err)
		}
		s.keepers[provider] = k
		s.providers[provider] = process.New(process.Config{Name: provider, Work: process.Refreshing(k), Events: s.events, Log: s.log, Now: s.opts.Seams.Wall})
	}
	for n := range 50 {
		name := fmt.Sprint("sink-", n)
		s.workers[name] = sink.NewWorker(sink.WorkerConfig{Name: name, Store: s.store})
	}
	b.ReportAllocs()
	for b.Loop() {
		if shot := s.snapshot(); len(shot.Accounts) != len(s.opts.Config.Accounts) || len(shot.Sinks) != 50 {
			b.Fatalf("%d accounts, %d sinks", len(shot.Accounts), len(shot.Sinks))
		}
	}
}
