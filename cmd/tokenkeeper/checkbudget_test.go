package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/saxo"
	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// A budget is refused where a refresh costs more than a request, and nobody has taken that
// risk; one that changes nothing, or is more than the broker allows, is told.
func TestCheckHoldsBudgets(t *testing.T) {
	const key, told = "tk.yaml: accounts.a.refresh.budget: ", "; remove the line, or if so many refreshes are worth that, write accept_risk: true beside it"
	safe := sdk.Policy{AccessLifetime: 15 * time.Minute, BeforeExpiry: 5 * time.Minute, OldAccessLives: true}
	policy := func(change func(*sdk.Policy)) sdk.Description {
		p := safe
		change(&p)
		return sdk.Description{Name: "fake", Policy: p}
	}
	described := func(p sdk.Provider) sdk.Description {
		d, err := p.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	mints := sdk.Description{NoRefresh: true, Minter: true, Policy: sdk.Policy{AccessLifetime: 15 * time.Minute, BeforeExpiry: 5 * time.Minute}}
	replaces, limited := mints, mints
	mints.Repeat, replaces.Repeat, limited.Repeat = sdk.RepeatHarmless, sdk.RepeatReplaces, sdk.RepeatLimited
	for name, tt := range map[string]struct {
		described   sdk.Description
		budget      int
		accepted    bool
		next        string
		wrong, warn string
	}{
		"none":              {described: policy(func(p *sdk.Policy) { p.Rotates = true }), next: "refreshed 5m before expiry"},
		"safe":              {described: policy(func(*sdk.Policy) {}), budget: 12, next: "refreshed 5m before expiry or 12 times an hour"},
		"a grace":           {described: policy(func(p *sdk.Policy) { p.Rotates, p.ReuseGrace = true, time.Minute }), budget: 12, next: "refreshed 5m before expiry or 12 times an hour"},
		"a week of a login": {described: policy(func(p *sdk.Policy) { p.RefreshLifetime = 7 * 24 * time.Hour }), budget: 12, next: "refreshed 5m before expiry or 12 times an hour"},
		"a grace shorter than an attempt": {described: policy(func(p *sdk.Policy) { p.Rotates, p.ReuseGrace = true, 10*time.Second }), budget: 12, next: "refreshed 5m before expiry",
			wrong: key + "of provider fake each refresh replaces the refresh token, and the one before is taken for 10s alone, in which an attempt of 30s can't be made again: one whose answer is lost ends the login" + told},
		"rotates": {described: policy(func(p *sdk.Policy) { p.Rotates = true }), budget: 12, next: "refreshed 5m before expiry",
			wrong: key + "of provider fake each refresh replaces the refresh token, and one whose answer is lost ends the login" + told},
		"rotates, and that is accepted": {described: policy(func(p *sdk.Policy) { p.Rotates = true }), budget: 12, accepted: true, next: "refreshed 5m before expiry or 12 times an hour"},
		"the old one dies": {described: policy(func(p *sdk.Policy) { p.OldAccessDies, p.OldAccessLives = true, false }), budget: 12, next: "refreshed 60s before expiry",
			wrong: key + "of provider fake each refresh ends the access token that consumers hold" + told},
		"schwab": {described: described(schwab.New()), budget: 12, next: "refreshed 5m before expiry",
			wrong: key + "of provider fake nobody knows whether a refresh ends the access token that consumers hold: the provider does not say that it lives on" + told},
		"schwab, and that is accepted": {described: described(schwab.New()), budget: 12, accepted: true, next: "refreshed 5m before expiry or 12 times an hour"},
		"saxo": {described: described(saxo.New()), budget: 12, next: "refreshed 5m before expiry",
			wrong: key + "of provider fake each refresh replaces the refresh token, and one whose answer is lost ends the login" + told},
		"minted side by side": {described: mints, budget: 12, next: "minted 5m before expiry or 12 times an hour"},
		"a mint ends the one before": {described: replaces, budget: 12, next: "minted 5m before expiry",
			wrong: key + "of provider fake each mint ends the access token that consumers hold" + told},
		"mints that lock out": {described: limited, budget: 12, next: "minted 5m before expiry",
			wrong: key + "of provider fake too many mints lock the account out" + told},
		"no more than the plan": {described: policy(func(*sdk.Policy) {}), budget: 6, next: "refreshed 5m before expiry",
			warn: key + "budget: the access token lives 15m and is refreshed after 10m anyway; one each 10m is no more, and changes nothing; write a higher one, or remove the line"},
		"more than the broker allows": {described: func() sdk.Description {
			d := policy(func(*sdk.Policy) {})
			d.Limits.RequestsPerHour = 10
			return d
		}(), budget: 60, next: "refreshed 5m before expiry or 9 times an hour",
			warn: key + "budget: the broker allows this account 10, the last of which is left for a person; so there are 9 an hour"},
		"logins alone": {described: sdk.Description{NoRefresh: true, Authorizer: true, Policy: sdk.Policy{AccessLifetime: 24 * time.Hour}}, budget: 12, next: "by hand",
			warn: key + "budget: nothing is refreshed, the next token comes from a login; remove the line"},
	} {
		a := config.Account{
			Name: "a", Provider: "fake", ClientID: "id", RedirectURL: "https://127.0.0.1:8182",
			Refresh: config.Refresh{Budget: tt.budget, AcceptRisk: tt.accepted, Timeout: 30 * time.Second},
		}
		cfg := &config.Config{Accounts: map[string]config.Account{"a": a}}
		r := report{Config: "tk.yaml", Providers: []plugin{{Name: "fake", description: tt.described}}}
		r.addProviders(cfg, false)
		r.addAccounts(cfg)
		texts := func(all []finding) string {
			var lines []string
			for _, f := range all {
				lines = append(lines, f.String())
			}
			return strings.Join(lines, "\n")
		}
		if got := texts(r.Problems); got != tt.wrong {
			t.Errorf("%s: problem\ngot  %s\nwant %s", name, got, tt.wrong)
		}
		if got := texts(r.Warnings); got != tt.warn {
			t.Errorf("%s: warning\ngot  %s\nwant %s", name, got, tt.warn)
		}
		if got := nextToken(r.Accounts[0]); got != tt.next {
			t.Errorf("%s: %q, want %q", name, got, tt.next)
		}
	}
}
