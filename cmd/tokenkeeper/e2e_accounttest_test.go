package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A token is shown to its broker, by whose word it works, or does not any more; whatever
// that says, nothing is refreshed.
func TestAccountIsTested(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	schwab, saxo := startBrokers(t, time.Hour)
	yaml := bothYAML(schwab, saxo, "before_expiry: 5m")
	s := newSite(t, strings.Replace(yaml, "settings: {token_url:", `settings: {check_url: "`+schwab.ResourceURL()+`", token_url:`, 1))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	waittest.Until(t, "processes that serve", func() bool {
		_, err := r.Client.TestAccount(t.Context(), schwabAccount)
		_, other := r.Client.TestAccount(t.Context(), saxoAccount)
		return err == nil && strings.Contains(fmt.Sprint(other), "check_url")
	}, r.steps)
	asked := schwab.Account(schwabAccount).ResourcesServed
	says := func(code int, account, want string) {
		t.Helper()
		got := s.tool(t, "", "test", account)
		if text := inOneLine(got.stdout + got.stderr); got.code != code || !strings.Contains(text, want) {
			t.Errorf("exit code %d, %q is not in: %s", got.code, want, text)
		}
	}
	says(exitOK, schwabAccount, "schwab-main: the broker accepts version 1 (it took ")
	if n := schwab.Account(schwabAccount).ResourcesServed - asked; n != 1 {
		t.Errorf("the broker was asked %d times", n)
	}
	says(exitFailure, saxoAccount, "the setting check_url is missing: with a token_url of your own, nobody knows whose API the token is for")
	schwab.Revoke(schwabAccount)
	says(exitFailure, schwabAccount, "refuses the access token (HTTP 401): version 1 does not work. To get the next one: tokenkeeper refresh schwab-main --force; "+
		"if that one is refused, too, log in with: tokenkeeper login schwab-main")
	says(exitFailure, "schwab-mian", `did you mean "schwab-main"?`)
	mustHavePosted(t, schwab, schwabAccount, 0)
	mustHavePosted(t, saxo, saxoAccount, 0)
	r.Stop()
}
