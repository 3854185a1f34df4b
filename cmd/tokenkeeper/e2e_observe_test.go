package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// One who only observes shows two accounts, one of the store and one of a shared file, until
// both are long due: no request reaches a broker, and what is on the disk stays as it is,
// whatever a person asks. The next start keeps them, and nobody observes beside that one.
func TestObserveSpendsNothing(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	schwab, saxo := startBrokers(t, 2*time.Second)
	s := newSite(t, "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), "every: 1s")+
		accountYAML(saxoAccount, saxo, saxo.TokenURL(), "every: 1s")+
		"    shared_file: {path: bots/saxo.json, format: saxo-cache}\n"+filesYAML)
	if err := os.Mkdir(s.path("bots"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := saxo.Grant(saxoAccount)
	if err := os.WriteFile(s.path("bots/saxo.json"), tokenFileOf(t, g, format.SaxoCache, g.IssuedAt), 0o600); err != nil {
		t.Fatal(err)
	}
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	file := tokenFileOf(t, g, format.SaxoCache, g.IssuedAt)
	state, bots := filestest.Contents(t, s.path("state")), filestest.Contents(t, s.path("bots"))
	r := startRun(t, s, "--observe")
	r.until(func(st control.Status) bool {
		for _, name := range []string{schwabAccount, saxoAccount} {
			a := account(st, name)
			if a.Version != 1 || a.Would != "refresh" || a.State != control.AccountExpired || st.Now.Sub(a.Due) < time.Second || len(a.Sinks) != 0 {
				return false
			}
		}
		return st.Observing && st.StateDir == s.path("state")
	})
	for _, refused := range [][]string{
		{"refresh", schwabAccount, "--force"}, {"login", schwabAccount, "--no-wait"}, {"import", saxoAccount, "-", "--force"}, {"pause", "--all"}, {"adopt"},
		{"token", schwabAccount, "--min-valid", "1s"},
	} {
		got := s.tool(t, string(file), refused...)
		if got.code == exitOK || !strings.Contains(inOneLine(got.stderr), "this supervisor only observes; start it without --observe") {
			t.Errorf("%v: %+v", refused, got)
		}
	}
	if got := s.tool(t, "", "status"); !strings.Contains(inOneLine(got.stdout), "observing: nothing is sent to a broker, delivered or written") ||
		strings.Count(inOneLine(got.stdout), "a refresh would be sent: due now") != 2 {
		t.Errorf("status: %s%s", got.stdout, got.stderr)
	}
	if got := s.tool(t, "", "status", "--check"); got.code != 2 || !strings.Contains(got.stdout, "the supervisor only observes") {
		t.Errorf("status --check: %+v", got)
	}
	r.Stop()
	for name, sim := range map[string]*brokersim.Server{schwabAccount: schwab, saxoAccount: saxo} {
		mustHavePosted(t, sim, name, 0)
		if _, err := os.Stat(s.path(name + ".json")); err == nil {
			t.Errorf("%s.json was delivered", name)
		}
	}
	if filestest.Contents(t, s.path("state")) != state {
		t.Error("the state directory has changed")
	}
	if filestest.Contents(t, s.path("bots")) != bots {
		t.Error("the shared file, or something beside it, has changed")
	}

	r = startRun(t, s)
	r.delivered(schwabAccount, 2)
	r.delivered(saxoAccount, 2)
	got := s.tool(t, "", "run", "--observe", "--socket", s.path("observe.sock"))
	if got.code != exitFailure || !strings.Contains(inOneLine(got.stderr), "stop it first, to observe in its place") {
		t.Errorf("beside one that runs: %+v", got)
	}
	r.Stop()
}
