package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Who waits for a token waits for the supervisor, through its restarts, and for the person
// who logs in, and says of each once what it waits for.
func TestWaitForASupervisorAndALogin(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"))
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	stdout, stderr := newAwaited(), newAwaited()
	cmd := s.command(ctx, "", "wait", saxoAccount)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says := func(what string) {
		t.Helper()
		stderr.until(t, func(text string) bool { return strings.Contains(text, what) })
	}
	says("no supervisor is running")
	r := startRun(t, s)
	says("has no token yet")
	r.Stop()
	r = startRun(t, s)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v: %s", err, stderr.String())
	}
	if got := stdout.String(); !strings.HasPrefix(got, saxoAccount+": v1 expires ") {
		t.Errorf("it prints %s", got)
	}
	if got := stderr.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "log in with") {
		t.Errorf("it says %s", got)
	}
	now, _ := saxo.Current(saxoAccount)
	if strings.Contains(stdout.String()+stderr.String(), now.AccessToken) {
		t.Error("it prints the token")
	}
	if got := s.tool(t, "", "wait", saxoAccount, "--min-valid", "30m"); got.code != exitOK {
		t.Errorf("for one that lives: %+v", got)
	}
	r.Stop()
}
