package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestAnswerOfTheGrantBeforeIsTaken: the supervisor dies with a refresh on its
// way, and a person imports another login before it starts again. The answer does
// not take the import's place; it is shown without a secret, and can be taken.
func TestAnswerOfTheGrantBeforeIsTaken(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	s.configure(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"))
	s.logIn(t, saxo, saxoAccount, format.JSON)
	r := startRun(t, s)
	gate := saxo.HoldNextAnswer(saxoAccount)
	asked := r.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request is processed")
	r.Kill()
	<-asked
	gate.Release()
	s.awaitSpooled(t, "saxo", saxoAccount)
	s.awaitGone(t)
	late, _ := saxo.Current(saxoAccount)
	other := saxo.Grant("another login")
	other.Account = saxoAccount
	if got := s.tool(t, string(tokenFileOf(t, other, format.JSON, other.IssuedAt)), "import", saxoAccount, "-", "--force"); got.code != exitOK {
		t.Fatalf("import: %+v", got)
	}

	r = startRun(t, s)
	var aside []control.SetAside
	st := r.until(func(st control.Status) bool {
		aside = account(st, saxoAccount).SetAside
		return len(aside) == 1
	})
	if a := account(st, saxoAccount); a.Version != 2 || a.Grant != 2 {
		t.Errorf("version %d of grant %d", a.Version, a.Grant)
	}
	command := "tokenkeeper spool adopt " + saxoAccount + " " + aside[0].Attempt
	shown := s.tool(t, "", "spool")
	if shown.code != exitOK || !strings.Contains(shown.stdout, command) || !strings.Contains(shown.stdout, "by an import") {
		t.Errorf("spool: %+v", shown)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "set aside") {
		t.Errorf("status:\n%s", got.stdout)
	}
	if said := r.Stderr(); !strings.Contains(said, command) {
		t.Error("the log does not say what a person can do")
	}
	if got := s.tool(t, "", "spool", "adopt", saxoAccount, "ANOTHER"); got.code == exitOK || !strings.Contains(got.stderr, "tokenkeeper spool") {
		t.Errorf("one that is not kept: %+v", got)
	}
	taken := s.tool(t, "", "spool", "adopt", saxoAccount, aside[0].Attempt)
	if taken.code != exitOK || !strings.Contains(taken.stdout, "imported as v3") {
		t.Errorf("adopt: %+v", taken)
	}
	if err := <-r.forceRefresh(saxoAccount); err != nil {
		t.Errorf("the answer's token does not work: %v", err)
	}
	for _, text := range []string{shown.stdout, taken.stdout, taken.stderr, r.Stderr()} {
		if strings.Contains(text, late.RefreshToken) || strings.Contains(text, late.AccessToken) {
			t.Errorf("a secret was printed:\n%s", text)
		}
	}
}
