package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What check says of a provider's way is what the supervisor does.
func TestWayIsTheSupervisors(t *testing.T) {
	words := map[store.Way]string{store.WayRefresh: control.WayRefresh, store.WayRenew: control.WayRenew, store.WayLogin: control.WayLogin, store.WayMint: control.WayMint}
	log := slog.New(slog.DiscardHandler)
	for _, d := range []sdk.Description{
		{}, {Renewer: true}, {Authorizer: true}, {NoRefresh: true}, {NoRefresh: true, Renewer: true}, {NoRefresh: true, Authorizer: true},
		{NoRefresh: true, Minter: true}, {Minter: true}, {NoRefresh: true, Minter: true, Authorizer: true}, {NoRefresh: true, Minter: true, Renewer: true}, {NoRefresh: true, Renewer: true, Authorizer: true},
	} {
		k, err := refresh.NewKeeper(t.Context(), refresh.Config{
			Provider: "fake", Store: store.NewMemory(), Wake: func(string) {}, Events: event.NewBus(log, time.Now), Log: log, Wall: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		k.Meet(d)
		if way, _ := k.Way(); wayBy(d) != words[way] {
			t.Errorf("%+v: %q, and the supervisor's is %q", d, wayBy(d), way)
		}
	}
}

// A client is missed where the provider presents one.
func TestClientIsMissedWhereOneIsPresented(t *testing.T) {
	for _, c := range []struct {
		provider sdk.Description
		client   string
		warned   bool
	}{
		{sdk.Description{}, "", true},
		{sdk.Description{}, "app", false},
		{sdk.Description{NoRefresh: true, Authorizer: true}, "", true},
		{sdk.Description{NoRefresh: true, Renewer: true}, "", false},
		{sdk.Description{NoRefresh: true, Minter: true}, "", false},
		{sdk.Description{NoRefresh: true, Keepalive: true}, "", false},
	} {
		var r report
		if r.warnOfClient(config.Account{Name: "a", ClientID: c.client}, c.provider); (len(r.Warnings) == 1) != c.warned {
			t.Errorf("%+v, client %q: %+v", c.provider, c.client, r.Warnings)
		}
	}
}

// What import says of the access token depends on what can be done about it.
func TestImportedAccess(t *testing.T) {
	past, ahead := now.Add(-time.Hour), now.Add(time.Hour)
	for _, tt := range []struct {
		way    string
		expiry time.Time
		want   string
	}{
		{control.WayRefresh, time.Time{}, "expiry unknown: refreshed at once"},
		{control.WayRenew, time.Time{}, "expiry unknown: renewed at once"},
		{control.WayLogin, time.Time{}, "expiry unknown: served until the broker refuses it"},
		{control.WayRefresh, past, "expired 13:20:00 60m ago: refreshed at once"},
		{control.WayRenew, past, "expired 13:20:00 60m ago: too late to renew it"},
		{control.WayLogin, past, "expired 13:20:00 60m ago"},
		{control.WayMint, past, "expired 13:20:00 60m ago: another one is minted at once"},
		{control.WayRenew, ahead, "expires 15:20:00 in 60m"},
	} {
		if got := importedAccess(control.ImportAnswer{Way: tt.way, Expiry: tt.expiry}, now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.way, got, tt.want)
		}
	}
}

// What check says of a renewal is what the schedule does.
func TestCheckTellsTheTimeOfARenewal(t *testing.T) {
	issued := time.Unix(1<<30, 0)
	for _, p := range []sdk.Policy{
		{AccessLifetime: time.Hour, BeforeExpiry: 15 * time.Minute},
		{AccessLifetime: time.Hour, BeforeExpiry: 50 * time.Minute},
		{AccessLifetime: time.Minute, BeforeExpiry: 40 * time.Second},
		{AccessLifetime: time.Minute, BeforeExpiry: 5 * time.Second},
		{AccessLifetime: time.Minute, BeforeExpiry: 55 * time.Second},
		{AccessLifetime: 4 * time.Minute},
	} {
		for _, configured := range []time.Duration{0, 10 * time.Second, 50 * time.Second, 55 * time.Minute} {
			for _, p.OldAccessDies = range []bool{false, true} {
				rule := refreshRule(config.Refresh{BeforeExpiry: configured}, sdk.Description{NoRefresh: true, Renewer: true, Policy: p})
				end := issued.Add(p.AccessLifetime)
				plan := schedule.PlanOf(schedule.Policy{BeforeExpiry: configured}.By(p.BeforeExpiry, p.OldAccessDies), schedule.Life{
					Issued: issued, Lifetime: p.AccessLifetime, RefreshEnd: end, RefreshLife: p.AccessLifetime, Sliding: true, Sure: true,
				}, issued, 0)
				if want := moment.Span(end.Sub(plan.Due)) + " before expiry"; rule != want {
					t.Errorf("%+v, configured %s: %q, and it comes %s", p, configured, rule, want)
				}
			}
		}
	}
}
