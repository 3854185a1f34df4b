package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// logInAs logs a person in at the broker, through the command.
func (s *site) logInAs(t *testing.T, person, account string, flags ...string) result {
	t.Helper()
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	stdout, stderr := newAwaited(), newAwaited()
	cmd := s.command(ctx, "", append([]string{"login", account}, flags...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, stdout, stderr
	paste, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := ""
	stderr.until(t, func(text string) bool {
		address = addressIn(t, text)
		return address != ""
	})
	_, _ = fmt.Fprintln(paste, redirectOf(t, address+"&login_hint="+person))
	err = cmd.Wait()
	if exit := cmd.ProcessState.ExitCode(); exit > exitFailure {
		t.Fatalf("login as %s: %v\n%s", person, err, stderr.String())
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// addressIn is the address that a person, or a program, is told to open; "": it did
// not come yet.
func addressIn(t *testing.T, text string) string {
	t.Helper()
	line, _, whole := strings.Cut(text, "\n")
	if whole && strings.HasPrefix(line, "{") {
		var begun struct{ Login struct{ Address string } }
		if err := json.Unmarshal([]byte(line), &begun); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		return begun.Login.Address
	}
	if !strings.Contains(text, "Then paste") {
		return ""
	}
	_, address, _ := strings.Cut(text, "\n\n  ")
	address, _, _ = strings.Cut(address, "\n")
	return address
}

// redirectOf is where the broker sends the browser.
func redirectOf(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Location")
}

// Two persons log in at one account. The second one's login waits, whatever
// becomes of the supervisor, until somebody has confirmed it; meanwhile consumers
// have the first one's token, and that is refreshed.
func TestALoginOfAnotherPersonWaitsToBeConfirmed(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const name = "shared-name"
	sim := broker(t, brokersim.Schwab)
	c := sim.Config()
	s := newSite(t, fmt.Sprintf("accounts:\n  %s: {provider: schwab, client_id: %s, client_secret: %s, redirect_url: %q, settings: {token_url: %q, authorize_url: %q}}\n"+
		"sinks:\n  files: {type: file, path: '{account}.json', include_refresh_token: true}\n",
		name, c.ClientID, c.ClientSecret, c.RedirectURL, sim.TokenURL(), sim.AuthorizeURL()))
	r := startRun(t, s)
	r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning })
	if got := s.logInAs(t, "alice", name); got.code != exitOK || !strings.Contains(got.stdout, "person         alice (") {
		t.Fatalf("alice's login: %+v", got)
	}
	r.delivered(name, 1)
	s.mustHoldOf(t, sim, name, "alice")

	got := s.logInAs(t, "bob", name)
	for _, want := range []string{"bob (", "account of alice (", "tokenkeeper login " + name + " --confirm", "tokenkeeper login " + name + " --discard"} {
		if got.code != exitFailure || !strings.Contains(got.stderr, want) {
			t.Errorf("bob's login: %+v, want %q", got, want)
		}
	}
	if got := s.logInAs(t, "bob", name, "--json"); !strings.Contains(got.stderr, `"code":"another_person"`) {
		t.Errorf("bob's second login, JSON: %+v", got)
	}
	r.Kill()
	r = startRun(t, s)
	st := r.until(func(st control.Status) bool { return provider(st, "schwab").State == control.ProviderRunning })
	if a := account(st, name); a.Version != 1 || a.Candidate == nil || !strings.HasPrefix(a.Candidate.Person, "bob (") || !strings.HasPrefix(a.Person, "alice (") {
		t.Fatalf("after a kill: %+v", a)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), "tokenkeeper login "+name+" --confirm, or --discard") {
		t.Errorf("status: %s", got.stdout)
	}
	if err := <-r.forceRefresh(name); err != nil {
		t.Errorf("the refresh of alice's token: %v", err)
	}
	r.delivered(name, 2)
	s.mustHoldOf(t, sim, name, "alice")

	if got := s.tool(t, "", "login", name, "--confirm"); got.code != exitOK || !strings.Contains(got.stdout, "logged in as v3\n  person         bob (") {
		t.Fatalf("confirmed: %+v", got)
	}
	r.delivered(name, 3)
	s.mustHoldOf(t, sim, name, "bob")
	if err := <-r.forceRefresh(name); err != nil {
		t.Errorf("the refresh of bob's token: %v", err)
	}
	r.delivered(name, 4)
	s.mustHoldOf(t, sim, name, "bob")
	if got := s.logInAs(t, "alice", name); got.code != exitFailure {
		t.Errorf("alice's second login: %+v", got)
	}
	if got := s.tool(t, "", "login", name, "--discard"); got.code != exitOK || !strings.Contains(got.stdout, "the login of alice (") {
		t.Errorf("discarded: %+v", got)
	}
	if got := s.tool(t, "", "login", name, "--confirm"); got.code != exitFailure || !strings.Contains(got.stderr, "no login of another person waits") {
		t.Errorf("confirmed what is gone: %+v", got)
	}
	s.mustHoldOf(t, sim, name, "bob")
}
