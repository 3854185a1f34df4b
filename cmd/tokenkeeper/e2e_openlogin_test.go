package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// A person begins a login, another one asks for it again, the supervisor is killed,
// and the address that the first one got still leads to a token. A login that is
// cancelled leads to none, after another death too.
func TestABegunLoginOutlivesTheSupervisor(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	sim := broker(t, brokersim.Schwab)
	c := sim.Config()
	s := newSite(t, fmt.Sprintf("accounts:\n  main: {provider: schwab, client_id: %s, client_secret: %s, redirect_url: %q, settings: {token_url: %q, authorize_url: %q}}\n",
		c.ClientID, c.ClientSecret, c.RedirectURL, sim.TokenURL(), sim.AuthorizeURL()))
	start := func() *running {
		t.Helper()
		r := startRun(t, s)
		r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning })
		return r
	}
	// begin gives up at the prompt, and returns the address.
	begin := func(earlier bool) string {
		t.Helper()
		got := s.tool(t, "", "login", "main")
		_, address, _ := strings.Cut(got.stderr, "\n\n  ")
		address, _, _ = strings.Cut(address, "\n")
		if got.code != exitFailure || address == "" || strings.Contains(got.stderr, "A login of this account is open: begun ") != earlier {
			t.Errorf("begun: %+v", got)
		}
		return address
	}
	r := start()
	first := begin(false)
	if again := begin(true); again != first {
		t.Errorf("another address: %s, and %s", first, again)
	}
	words := func() string { return strings.Join(strings.Fields(s.tool(t, "", "status").stdout), " ") }
	if got := words(); !strings.Contains(got, "a login is begun ") || !strings.Contains(got, "tokenkeeper login main to go on, --cancel to end it") {
		t.Errorf("status: %s", got)
	}
	r.Kill()
	r = start()
	if got := s.tool(t, redirectOf(t, first+"&login_hint=alice")+"\n", "login", "main"); got.code != exitOK || !strings.Contains(got.stdout, "main: logged in as v1") {
		t.Fatalf("completed after the kill: %+v", got)
	}
	if got := words(); strings.Contains(got, "a login is begun") {
		t.Errorf("status: %s", got)
	}
	second := begin(false)
	if got := s.tool(t, "", "login", "main", "--cancel"); got.code != exitOK || !strings.Contains(got.stdout, "main: the login (begun ") {
		t.Errorf("cancelled: %+v", got)
	}
	r.Kill()
	start()
	third := begin(false)
	if got := s.tool(t, redirectOf(t, second+"&login_hint=alice")+"\n", "login", "main"); got.code != exitFailure || third == second {
		t.Errorf("the cancelled one was completed: %+v", got)
	}
}
