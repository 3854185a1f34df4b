package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/limit"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// usualLife is assumed of an access token whose provider does not say how long
// it lives.
const usualLife = 15 * time.Minute

// addCapacity warns of providers that have more accounts than can be refreshed
// in time. How long an answer takes is only known while the service runs, so
// here it is assumed.
func (r *report) addCapacity(cfg *config.Config) {
	described := map[string]sdk.Description{}
	for _, p := range r.Providers {
		if wayBy(p.description) != control.WayLogin { // which asks the broker for nothing
			described[p.Name] = p.description
		}
	}
	for _, name := range slices.Sorted(maps.Keys(described)) {
		c, life := capacityOf(cfg, name, described[name])
		if c.Enough() {
			continue
		}
		r.Warnings = append(r.Warnings, finding{
			File: r.Config, Line: r.where().of("providers", name, "max_in_flight"), Key: "providers." + name + ".max_in_flight",
			Message: "tokens will expire before their turn: " + c.String() + ". " + life,
			Hint:    c.Remedy(name),
		})
	}
}

// addLimits warns of accounts that need a token more often than their broker gives one.
func (r *report) addLimits(cfg *config.Config) {
	for _, p := range r.Providers {
		rule, way := limit.Rule{Limits: p.description.Limits}, wayBy(p.description)
		if rule.Unasked() == 0 || p.Error != "" || way == control.WayLogin {
			continue
		}
		for _, a := range cfg.AccountsOf(p.Name) {
			life := p.description.Policy.AccessLifetime
			interval := promise.Interval(askedOf(a.Refresh, p.description), life)
			if interval <= 0 || time.Duration(rule.Unasked())*interval >= time.Hour {
				continue
			}
			key := "accounts." + a.Name + ".refresh"
			r.Warnings = append(r.Warnings, finding{
				File: r.Config, Line: r.where().of("accounts", a.Name, "refresh"), Key: key,
				Message: fmt.Sprintf("a %s every %s is %d an hour, and the broker allows %s: the last ones of each hour wait",
					act(way), moment.Span(interval), int(math.Ceil(time.Hour.Seconds()/interval.Seconds())), allowedInWords(rule)),
				Hint: rarer(key, time.Hour/time.Duration(rule.Unasked()), life),
			})
		}
	}
}

func allowedInWords(r limit.Rule) string {
	if r.Unasked() < r.RequestsPerHour {
		return fmt.Sprintf("%d, the last of which is left for a person", r.RequestsPerHour)
	}
	return strconv.Itoa(r.RequestsPerHour)
}

// rarer says how an account gets along with a token each interval, which is not before
// those of that life are dead if nothing helps.
func rarer(key string, interval, life time.Duration) string {
	interval = (interval + time.Minute - 1).Truncate(time.Minute)
	if life > 0 && life <= interval {
		return fmt.Sprintf("its access tokens live %s, so that consumers will be without one now and then, whatever is configured; ask the broker for more", moment.Span(life))
	}
	return fmt.Sprintf("set %s.every to %s or more, and before_expiry so that it asks no sooner", key, moment.Span(interval))
}

// capacityOf is what the configured accounts of a provider need, and how long
// their tokens are taken to live, in words.
func capacityOf(cfg *config.Config, provider string, d sdk.Description) (promise.Capacity, string) {
	life, who := d.Policy.AccessLifetime, "as the provider says"
	if life <= 0 {
		life, who = usualLife, "as assumed, because the provider does not say"
	}
	c := promise.Capacity{Slots: cfg.Provider(provider).MaxInFlight, Answer: promise.UsualAnswer}
	for _, a := range cfg.AccountsOf(provider) {
		c.Add(promise.Interval(budgetedOf(a.Refresh, d), life))
	}
	return c, fmt.Sprintf("An access token lives %s (%s)", life, who)
}
