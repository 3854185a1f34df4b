package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

func TestCheckComputesCapacity(t *testing.T) {
	for name, tt := range map[string]struct {
		accounts, slots int
		policy          sdk.Policy
		want            string
	}{
		"short tokens": {2000, 4, sdk.Policy{AccessLifetime: 2 * time.Minute, BeforeExpiry: 30 * time.Second},
			"tk.yaml: providers.fake.max_in_flight: tokens will expire before their turn: 2000 accounts need 22 refreshes a second; " +
				"with 4 in flight and 500ms for an answer (as assumed, because nobody has measured it), 8.0 a second are possible. " +
				"An access token lives 2m0s (as the provider says); set providers.fake.max_in_flight to 14 or more, as far as the broker allows it"},
		"enough": {2000, 14, sdk.Policy{AccessLifetime: 2 * time.Minute, BeforeExpiry: 30 * time.Second}, ""},
		"a lifetime that nobody knows": {20000, 4, sdk.Policy{BeforeExpiry: time.Minute},
			"tk.yaml: providers.fake.max_in_flight: tokens will expire before their turn: 20000 accounts need 24 refreshes a second; " +
				"with 4 in flight and 500ms for an answer (as assumed, because nobody has measured it), 8.0 a second are possible. " +
				"An access token lives 15m0s (as assumed, because the provider does not say); set providers.fake.max_in_flight to 15 or more, as far as the broker allows it"},
		"more than any setting allows": {200000, 1024, sdk.Policy{AccessLifetime: time.Minute, BeforeExpiry: 30 * time.Second},
			"tk.yaml: providers.fake.max_in_flight: tokens will expire before their turn: 200000 accounts need 6667 refreshes a second; " +
				"with 1024 in flight and 500ms for an answer (as assumed, because nobody has measured it), 2048 a second are possible. " +
				"An access token lives 1m0s (as the provider says); 1024 is the most that providers.fake.max_in_flight can be: " +
				"spread the accounts over several machines, or refresh more rarely (before_expiry, every)"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{
				Accounts:  map[string]config.Account{},
				Providers: map[string]config.Provider{"fake": {Name: "fake", MaxInFlight: tt.slots}},
			}
			for i := range tt.accounts {
				name := fmt.Sprint("a", i)
				cfg.Accounts[name] = config.Account{Name: name, Provider: "fake"}
			}
			r := report{Config: "tk.yaml", Providers: []plugin{{Name: "fake", description: sdk.Description{Policy: tt.policy}}}}
			r.addCapacity(cfg)
			var got []string
			for _, w := range r.Warnings {
				got = append(got, w.String())
			}
			if text := strings.Join(got, "\n"); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

// An account that needs more than its broker allows an hour is told before it waits.
func TestCheckHoldsLimits(t *testing.T) {
	short := sdk.Policy{AccessLifetime: 10 * time.Minute, BeforeExpiry: 5 * time.Minute, Rotates: true}
	for name, tt := range map[string]struct {
		refresh config.Refresh
		policy  sdk.Policy
		limits  sdk.Limits
		want    string
	}{
		"enough":                       {config.Refresh{}, short, sdk.Limits{RequestsPerHour: 13}, ""},
		"no limit":                     {config.Refresh{Every: time.Minute}, short, sdk.Limits{FailedLoginsPerHour: 3}, ""},
		"a lifetime that nobody knows": {config.Refresh{}, sdk.Policy{}, sdk.Limits{RequestsPerHour: 1}, ""},
		"by its lifetime": {config.Refresh{}, short, sdk.Limits{RequestsPerHour: 10},
			"tk.yaml: accounts.a.refresh: a refresh every 5m is 12 an hour, and the broker allows 10, the last of which is left for a person: " +
				"the last ones of each hour wait; set accounts.a.refresh.every to 7m or more, and before_expiry so that it asks no sooner"},
		"by every": {config.Refresh{Every: 20 * time.Minute}, sdk.Policy{AccessLifetime: time.Hour}, sdk.Limits{RequestsPerHour: 2},
			"tk.yaml: accounts.a.refresh: a refresh every 20m is 3 an hour, and the broker allows 2: " +
				"the last ones of each hour wait; set accounts.a.refresh.every to 30m or more, and before_expiry so that it asks no sooner"},
		"nothing helps": {config.Refresh{}, short, sdk.Limits{RequestsPerHour: 5},
			"tk.yaml: accounts.a.refresh: a refresh every 5m is 12 an hour, and the broker allows 5, the last of which is left for a person: " +
				"the last ones of each hour wait; its access tokens live 10m, so that consumers will be without one now and then, whatever is configured; ask the broker for more"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{Accounts: map[string]config.Account{"a": {Name: "a", Provider: "fake", Refresh: tt.refresh}}}
			r := report{Config: "tk.yaml", Providers: []plugin{{Name: "fake", description: sdk.Description{Policy: tt.policy, Limits: tt.limits}}}}
			r.addLimits(cfg)
			var got []string
			for _, w := range r.Warnings {
				got = append(got, w.String())
			}
			if text := strings.Join(got, "\n"); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}
