package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// A budget is of its account, from each layer; a risk without one is of no use.
func TestBudget(t *testing.T) {
	src := source(t, "accounts:\n"+
		"  a: {provider: schwab, refresh: {budget: 12/h, accept_risk: true}}\n"+
		"  b: {provider: schwab, refresh: {budget: 1/h}}\n"+
		"  c: {provider: schwab}\n"+
		"  d: {provider: schwab, refresh: {accept_risk: true}}\n", "TOKENKEEPER_ACCOUNTS__C__REFRESH__BUDGET=120/h")
	cfg, warnings, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]config.Refresh{"a": {Budget: 12, AcceptRisk: true}, "b": {Budget: 1}, "c": {Budget: 120}, "d": {AcceptRisk: true}} {
		if got := cfg.Accounts[name].Refresh; got.Budget != want.Budget || got.AcceptRisk != want.AcceptRisk {
			t.Errorf("%s: %d an hour, accepted %t", name, got.Budget, got.AcceptRisk)
		}
	}
	const want = "tokenkeeper.yaml:5:48: accounts.d.refresh.accept_risk: there is no budget of which it would take the risk; write budget: 12/h beside it, or remove the line"
	var got []string
	for _, w := range warnings {
		if strings.Contains(w.Key, "refresh") {
			got = append(got, w.String())
		}
	}
	if !slices.Equal(got, []string{want}) {
		t.Errorf("warned of %v, want %s", got, want)
	}
}
