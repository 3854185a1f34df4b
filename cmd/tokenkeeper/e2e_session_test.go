package main

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// TestSessionsAreKeptAlive has a plugin whose broker forgets sessions that are idle. A
// new process makes a beat at once, so that the test need not wait for the next.
func TestSessionsAreKeptAlive(t *testing.T) {
	t.Parallel()
	public, _, err := ed25519.GenerateKey(nil) // of a client that never comes: tokens are imported
	if err != nil {
		t.Fatal(err)
	}
	sim := brokersim.New(brokersim.Config{Dialect: brokersim.IBKR, ClientKey: public})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	s := newSite(t, fmt.Sprintf("plugins: {dir: plugins}\naccounts:\n  desk: {provider: session, settings: {tickle_url: %q}}\n"+
		"sinks:\n  files: {type: file, path: '{account}.json'}\n", sim.KeepaliveURL()))
	if err := goBuild(filepath.Join("testdata", "provider-session"), s.path("plugins/tokenkeeper-provider-session")); err != nil {
		t.Fatal(err)
	}
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return provider(st, "session").State == control.ProviderRunning })
	logIn := func() {
		t.Helper()
		body, err := json.Marshal(map[string]any{"access_token": sim.Grant("desk").AccessToken, "expires_in": 86399})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.tool(t, string(body), "import", "desk", "-", "--force"); got.code != exitOK {
			t.Fatalf("import: %+v", got)
		}
	}
	// beat has the newest token's session looked at, and waits for what was heard.
	beat := func(life sdk.Life) control.Status {
		t.Helper()
		if got := s.tool(t, "", "restart", "session"); got.code != exitOK {
			t.Fatalf("restart: %+v", got)
		}
		return r.until(func(st control.Status) bool {
			a := account(st, "desk")
			return a.Session != nil && a.Session.Life == life
		})
	}

	logIn()
	st := beat(sdk.Alive)
	if n := sim.Account("desk").Beats; n == 0 || account(st, "desk").State != control.AccountValid {
		t.Errorf("%d beats, %+v", n, account(st, "desk"))
	}

	other := sim.Grant("desk").AccessToken // the person's own, on the web
	beat(sdk.Competing)
	st = r.until(func(st control.Status) bool { return alertOf(st, event.SessionCompeting) != "" })
	if a := account(st, "desk"); a.State != control.AccountValid {
		t.Errorf("a session that somebody else has: %s", a.State)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "another login has taken its session") {
		t.Errorf("status says\n%s", got.stdout)
	}
	if !sim.AccessValid(other) {
		t.Error("the other login was thrown out")
	}

	logIn()
	beat(sdk.Alive)
	r.until(func(st control.Status) bool { return alertOf(st, event.SessionCompeting) == "" })

	sim.Revoke("desk")
	st = beat(sdk.Gone)
	if a := account(st, "desk"); a.State != control.AccountNeedsLogin {
		t.Errorf("a session that is gone: %s", a.State)
	}
	r.until(func(st control.Status) bool {
		return strings.Contains(alertOf(st, event.NeedsLogin), "session of its token is over")
	})
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "that its session is over") || !strings.Contains(got.stdout, "import a token with: tokenkeeper import desk FILE") {
		t.Errorf("status says\n%s", got.stdout)
	}

	// A killed supervisor knows nothing of sessions, and asks again: nobody is told
	// that all is well meanwhile.
	r.Kill()
	r = startRun(t, s)
	st = r.until(func(st control.Status) bool {
		a := account(st, "desk")
		return a.Session != nil && a.State == control.AccountNeedsLogin
	})
	if alertOf(st, event.NeedsLogin) == "" {
		t.Error("the alert has not outlived the supervisor")
	}
	logIn()
	beat(sdk.Alive)
	r.until(func(st control.Status) bool {
		return alertOf(st, event.NeedsLogin) == "" && account(st, "desk").State == control.AccountValid
	})

	sim.Stop()
	beatLost := time.Now()
	if got := s.tool(t, "", "restart", "session"); got.code != exitOK {
		t.Fatalf("restart: %+v", got)
	}
	st = r.until(func(st control.Status) bool {
		a := account(st, "desk")
		return a.Session != nil && a.Session.Failures > 0
	})
	if a := account(st, "desk"); a.State != control.AccountValid || a.Failures > 0 || a.Session.Silent.Before(beatLost) {
		t.Errorf("a beat without an answer: %+v, session %+v", a, a.Session)
	}
	stop(t, s, r)
}

// alertOf is what an open alert of a type says; "": there is none.
func alertOf(st control.Status, of event.Type) string {
	for _, a := range st.Alerts {
		if a.Type == of {
			return a.Message + " "
		}
	}
	return ""
}
