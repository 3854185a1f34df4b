package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// usualLife is assumed of an access token whose provider does not say how long
// it lives.
const usualLife = 20 * time.Minute

// addCapacity warns of providers that have more accounts than can be refreshed
// in time. How long an answer takes is only known while the service runs, so
// here it is assumed.
func (r *report) addCapacity(cfg *config.Config) {
	policies := map[string]sdk.Policy{}
	for _, p := range r.Providers {
		if wayBy(p.description) != control.WayLogin { // which asks the broker for nothing
			policies[p.Name] = timesOf(p.description)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		c, life := capacityOf(cfg, name, policies[name])
		if c.Enough() {
			continue
		}
		r.Warnings = append(r.Warnings, finding{
			File: r.Config, Line: lineOf(r.Config, "providers", name, "max_in_flight"), Key: "providers." + name + ".max_in_flight",
			Message: "tokens will expire before their turn: " + c.String() + ". " + life,
			Hint:    c.Remedy(name),
		})
	}
}

// capacityOf is what the configured accounts of a provider need, and how long
// their tokens are taken to live, in words.
func capacityOf(cfg *config.Config, provider string, policy sdk.Policy) (promise.Capacity, string) {
	life, who := policy.AccessLifetime, "as the provider says"
	if life <= 0 {
		life, who = usualLife, "as assumed, because the provider does not say"
	}
	c := promise.Capacity{Slots: cfg.Provider(provider).MaxInFlight, Answer: promise.UsualAnswer}
	for _, a := range cfg.AccountsOf(provider) {
		c.Add(promise.Interval(askedOf(a.Refresh, policy), life))
	}
	return c, fmt.Sprintf("An access token lives %s (%s)", life, who)
}
