package survey

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/importing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// everyMorning is a broker whose tokens come from a login alone and die at 00:30 UTC.
var everyMorning = sdk.Description{NoRefresh: true, Policy: sdk.Policy{
	AccessLifetime: 24 * time.Hour,
	Access:         sdk.Deadline{Clock: sdk.TimeOfDay{Hour: 6, Zone: "Asia/Kolkata"}, Certain: true},
}}

// Of every account that needs a login by its status, an alert is told that it does:
// also where no broker has refused anything, because the time of its login is over.
func TestALoginWhoseTimeIsOverIsAnAlert(t *testing.T) {
	certain, guess := everyMorning, everyMorning
	guess.Policy.Access.Certain = false
	renews := sdk.Description{NoRefresh: true, Renewer: true}
	for name, c := range map[string]struct {
		provider   sdk.Description
		body, says string
	}{
		"at a time of the day":          {certain, `{"access_token": "k", "expires_in": 80000}`, "its login ended 2000-01-01 23:13 UTC, as far as anybody knows"},
		"of which the file says no end": {certain, `{"access_token": "k"}`, "its login ended 2000-01-02 00:30 UTC"},
		"a guess":                       {guess, `{"access_token": "k"}`, "its login ended 2000-01-02 00:30 UTC, as far as anybody knows"},
		"that nothing has renewed":      {renews, `{"access_token": "k", "expires_at": 946728000}`, "its login ended 2000-01-01 12:00 UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // the bubble begins at midnight UTC
				k, cfg := keeperAt(t, c.provider), &config.Config{Accounts: map[string]config.Account{"main": {Name: "main"}}}
				if _, err := importing.Into(t.Context(), k, cfg, control.ImportRequest{Account: "main", Format: format.JSON, Body: []byte(c.body)}); err != nil {
					t.Fatal(err)
				}
				look := func() alert.Account {
					st, _ := k.Status("main")
					return accountAlerts(cfg.Accounts["main"], st, time.Now(), time.Now())
				}
				time.Sleep(time.Hour)
				if a := look(); a.NeedsLogin || a.Ended != "" {
					t.Errorf("while it lives: %+v", a)
				}
				time.Sleep(48 * time.Hour)
				if a := look(); !a.NeedsLogin || a.Ended != c.says {
					t.Errorf("after its end: needs a login: %t, %q, want %q", a.NeedsLogin, a.Ended, c.says)
				}
			})
		})
	}
}

// keeperAt keeps account main at a provider that says that of itself.
func keeperAt(t *testing.T, d sdk.Description) *refresh.Keeper {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	k, err := refresh.NewKeeper(t.Context(), refresh.Config{
		Provider: "fake", Accounts: []refresh.Account{{Account: sdk.Account{Name: "main"}}}, Store: store.NewMemory(),
		Wake: func(string) {}, Events: event.NewBus(log, time.Now), Log: log, Wall: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	k.Meet(d)
	return k
}
