package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Programs ask for tokens that they can use: each is refreshed for once, whoever asks and
// however often, no pause of the broker's gives way, and what can't be had says by its exit
// code what to do.
func TestProgramsAskForTokensTheyCanUse(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	schwab, saxo := startBrokers(t, time.Hour)
	s := newSite(t, bothYAML(schwab, saxo, "before_expiry: 5m"))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	r.until(func(st control.Status) bool {
		return provider(st, "saxo").State == control.ProviderRunning && provider(st, "schwab").State == control.ProviderRunning
	})
	prints := func(sim *brokersim.Server, name string, args ...string) {
		t.Helper()
		got := s.tool(t, "", append([]string{"token", name}, args...)...)
		if now, _ := sim.Current(name); got.code != exitOK || got.stderr != "" || got.stdout != now.AccessToken+"\n" {
			t.Errorf("token %s %v: exit code %d, stderr %s; it is the newest token: %t", name, args, got.code, got.stderr, got.stdout == now.AccessToken+"\n")
		}
	}
	refuses := func(name string, code int, said string, args ...string) failure {
		t.Helper()
		got := s.tool(t, "", append([]string{"token", name, "--json"}, args...)...)
		f := failureIn(t, got)
		if got.code != code || !strings.Contains(f.Message, said) {
			t.Errorf("token %s %v: exit code %d, %+v; want %d, %q", name, args, got.code, f, code, said)
		}
		return f
	}

	prints(saxo, saxoAccount, "--min-valid", "5m")
	mustHavePosted(t, saxo, saxoAccount, 0)
	var bots sync.WaitGroup
	for range 4 {
		bots.Go(func() { prints(saxo, saxoAccount, "--if-version", "1") })
	}
	bots.Wait()
	mustHavePosted(t, saxo, saxoAccount, 1)
	prints(saxo, saxoAccount, "--if-version", "1", "--min-valid", "50m")
	if f := refuses(saxoAccount, exitLater, "it was refreshed for one", "--if-version", "2"); f.Code != control.CodeNotYet || time.Until(f.RetryAt) > time.Minute {
		t.Errorf("a newer one within the minute: %+v", f)
	}
	if f := refuses(saxoAccount, exitFailure, "its tokens live for 1h0m0s in all", "--min-valid", "2h"); f.Code != control.CodeShortLived {
		t.Errorf("one that lives longer than any: %+v", f)
	}
	refuses(saxoAccount, exitFailure, "its newest is version 2", "--if-version", "9")
	now, _ := saxo.Current(saxoAccount)
	if got := s.tool(t, "", "token", saxoAccount, "--min-valid", "2h", "--allow-shorter"); got.code != exitOK || got.stdout != now.AccessToken+"\n" || !strings.Contains(got.stderr, "warning: ") {
		t.Errorf("a shorter one: exit code %d, stderr %s", got.code, got.stderr)
	}
	mustHavePosted(t, saxo, saxoAccount, 1)

	schwab.Inject(brokersim.TooManyRequests("600"))
	refuses(schwabAccount, exitLater, "429", "--min-valid", "59m30s", "--if-version", "1")
	if f := refuses(schwabAccount, exitLater, "the server asked for a pause", "--if-version", "1"); time.Until(f.RetryAt) < 9*time.Minute {
		t.Errorf("in the broker's pause: %+v", f)
	}
	mustHavePosted(t, schwab, schwabAccount, 1)
	schwab.Revoke(schwabAccount)
	if got := s.tool(t, "", "refresh", schwabAccount); got.code != exitFailure {
		t.Errorf("a person asks in the pause, and the login has ended: %+v", got)
	}
	if f := refuses(schwabAccount, exitPerson, "tokenkeeper login "+schwabAccount, "--if-version", "1"); f.Code != control.CodeNeedsLogin {
		t.Errorf("of an account that needs a login: %+v", f)
	}
	mustHavePosted(t, schwab, schwabAccount, 2)
	saxo.Revoke(saxoAccount)
	if got := s.tool(t, "", "refresh", saxoAccount, "--force"); got.code != exitFailure {
		t.Errorf("the login has ended: %+v", got)
	}
	if f := refuses(saxoAccount, exitPerson, "tokenkeeper login "+saxoAccount, "--min-valid", "2h"); f.Code != control.CodeNeedsLogin {
		t.Errorf("of an account that needs a login, one that lives longer than any: %+v", f)
	}
	mustHavePosted(t, saxo, saxoAccount, 2)
	r.Stop()
	refuses(saxoAccount, exitLater, "no supervisor is running", "--min-valid", "5m")
}
