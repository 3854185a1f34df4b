package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// A code, which dies within half a minute, is spent while the broker hangs on a
// refresh of the account. Whatever comes of both, in either order and over the
// supervisor's death, no refresh token is sent twice and none is lost.
func TestACodeIsSpentWhileARefreshHangs(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const name = "hasty"
	for _, tt := range []struct {
		what string
		// refused: the broker refuses the code; killed: the supervisor dies while
		// both are under way.
		refused, killed bool
		version         uint64
		aside           int
	}{
		{what: "the login succeeds", version: 2, aside: 1},
		{what: "the code is refused", refused: true, version: 2},
		{what: "the supervisor is killed", killed: true, version: 2, aside: 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, Rotation: brokersim.RotationAlways})
			c := sim.Config()
			s := newSite(t, fmt.Sprintf("accounts:\n  %s: {provider: schwab, client_id: %s, client_secret: %s, redirect_url: %q, settings: {token_url: %q, authorize_url: %q}}\n"+
				"sinks:\n  files: {type: file, path: '{account}.json', include_refresh_token: true}\n",
				name, c.ClientID, c.ClientSecret, c.RedirectURL, sim.TokenURL(), sim.AuthorizeURL()))
			r := startRun(t, s)
			r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning })
			if got := s.logInAs(t, name, name); got.code != exitOK {
				t.Fatalf("the first login: %+v", got)
			}
			r.delivered(name, 1)

			refresh, code := brokersim.NewGate(), brokersim.NewGate()
			sim.Inject(brokersim.Fault{Stage: brokersim.AfterProcessing, Hold: refresh}.On("refresh_token"))
			switch {
			case tt.refused:
				sim.Inject(brokersim.InvalidGrant().On("authorization_code"))
			case tt.killed:
				sim.Inject(brokersim.Fault{Stage: brokersim.AfterProcessing, Hold: code}.On("authorization_code"))
			}
			if tt.refused {
				for pasted, why := range map[string]string{
					"a-canary":                     "this is not the whole address that the browser shows after the login; copy all of it",
					c.RedirectURL + "?code=canary": "the address has no code or no state; copy all of it, as the browser shows it after the login",
				} {
					saysWhy(t, s.tool(t, pasted+"\n", "login", name), "account hasty: "+why+". Nothing was sent, and the login stays open: go on with: tokenkeeper login hasty")
				}
			}
			asked := r.forceRefresh(name)
			came(t, refresh.Entered, "the refresh is processed")
			if tt.killed {
				done := make(chan struct{})
				go func() {
					defer close(done)
					s.logInAs(t, name, name)
				}()
				came(t, code.Entered, "the code is processed")
				r.Kill()
				<-asked
				<-done
				code.Release()
				refresh.Release()
				r = startRun(t, s)
			} else {
				got := s.logInAs(t, name, name)
				if (got.code == exitOK) == tt.refused {
					t.Errorf("the login: %+v", got)
				}
				if tt.refused {
					saysWhy(t, got, "account hasty: the login failed, because the broker did not take its code, which works once and dies soon; the account is as it was; "+
						"begin again with: tokenkeeper login hasty (", "refused the grant (HTTP 400, unsupported_token_type)")
				}
				if open := sim.Account(name).Open(); open != 1 {
					t.Errorf("%d requests are open; the refresh hangs", open)
				}
				refresh.Release()
				if err := <-asked; err != nil {
					t.Errorf("the refresh: %v", err)
				}
			}
			r.delivered(name, tt.version)
			r.until(func(st control.Status) bool {
				a := account(st, name)
				return a.Version == tt.version && len(a.SetAside) == tt.aside && a.State == control.AccountValid && !a.InFlight
			})
			if !tt.refused {
				s.mustHoldOf(t, sim, name, name)
			}
			r.refreshed(name)
			r.delivered(name, tt.version+1)
			if n := sim.Account(name); n.Repeats != 0 || n.Reused != 0 || n.Posts != 4 {
				t.Errorf("the broker's log: %+v; want four requests, and no refresh token twice", n)
			}
			r.Stop()
			s.mustBeGone(t)
			if left := s.spooled(t, "schwab"); len(left) != 0 {
				t.Errorf("the spool still holds %+v", left)
			}
		})
	}
}

// saysWhy fails the test unless a login has failed, and a person is told why, and nothing of
// what he has pasted.
func saysWhy(t *testing.T, got result, words ...string) {
	t.Helper()
	text := inOneLine(got.stderr)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the login does not say %q:\n%s", w, text)
		}
	}
	if got.code != exitFailure || got.stdout != "" || strings.Contains(text, "canary") || strings.Contains(text, "?code=") {
		t.Errorf("a login that fails: %+v", got)
	}
}
