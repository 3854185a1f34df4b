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
			"tk.yaml: providers.fake.max_in_flight: tokens will expire before their turn: 20000 accounts need 18 refreshes a second; " +
				"with 4 in flight and 500ms for an answer (as assumed, because nobody has measured it), 8.0 a second are possible. " +
				"An access token lives 20m0s (as assumed, because the provider does not say); set providers.fake.max_in_flight to 11 or more, as far as the broker allows it"},
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
