package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// Who waits for a refresh is told in plain words what has come between.
func TestARefreshThatSomethingComesBetweenIsToldInPlainWords(t *testing.T) {
	t.Parallel()
	const name = "hasty"
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, Rotation: brokersim.RotationAlways})
	c := sim.Config()
	s := newSite(t, fmt.Sprintf("accounts:\n  %s: {provider: schwab, client_id: %s, client_secret: %s, redirect_url: %q, settings: {token_url: %q, authorize_url: %q}}\n"+
		"sinks:\n  files: {type: file, path: '{account}.json', include_refresh_token: true}\n",
		name, c.ClientID, c.ClientSecret, c.RedirectURL, sim.TokenURL(), sim.AuthorizeURL()))
	r := startRun(t, s)
	st := r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning })
	if got := s.logInAs(t, name, name); got.code != exitOK {
		t.Fatalf("the first login: %+v", got)
	}
	refresh := func(fault brokersim.Stage, between func()) result {
		gate := brokersim.NewGate()
		sim.Inject(brokersim.Fault{Stage: fault, Hold: gate}.On("refresh_token"))
		done := make(chan result, 1)
		go func() { done <- s.tool(t, "", "refresh", name, "--force") }()
		came(t, gate.Entered, "the refresh arrives")
		between()
		gate.Release()
		return <-done
	}

	got := refresh(brokersim.AfterProcessing, func() {
		if got := s.logInAs(t, name, name); got.code != exitOK {
			t.Errorf("the login: %+v", got)
		}
	})
	if got.code != exitOK || !strings.HasPrefix(got.stdout, name+": a token was asked for, and meanwhile a new login has taken the place of the token: v2 of that expires ") {
		t.Errorf("a login came between: %+v", got)
	}
	r.until(func(st control.Status) bool { return !account(st, name).InFlight })

	victim := watchProcess(t, provider(st, "schwab").PID)
	got = refresh(brokersim.AfterProcessing, func() {
		victim.kill()
		victim.mustHaveEnded()
	})
	for _, want := range []string{"tokenkeeper: account " + name + ", attempt ", "the process or its connection ended", "started again by itself", `"tokenkeeper status"`} {
		if got.code != exitFailure || !strings.Contains(got.stderr, want) {
			t.Errorf("the provider was killed: %+v; want %q", got, want)
		}
	}
	for _, raw := range []string{"rpc", "EOF", "Unavailable", "code ="} {
		if strings.Contains(got.stderr, raw) {
			t.Errorf("%q repeats %q to a person", got.stderr, raw)
		}
	}
	r.Stop()
}
