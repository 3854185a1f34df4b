package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// revoker is a site with accounts of a plugin whose broker revokes tokens.
type revoker struct {
	*site
	t   *testing.T
	sim *brokersim.Server
	// provider is its name, and shared what of an account's configuration is its shared file.
	provider, shared string
}

func newRevoker(t *testing.T, ends brokersim.Revocation, accounts ...string) *revoker {
	t.Helper()
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: time.Hour, Revokes: ends})
	r := &revoker{t: t, sim: sim, provider: "revokes"}
	if ends == brokersim.RevokesClient {
		r.provider += "-client"
	}
	r.site = newSite(t, r.yaml(accounts...))
	if err := goBuild(filepath.Join("testdata", "provider-revokes"), r.path("plugins/tokenkeeper-provider-"+r.provider)); err != nil {
		t.Fatal(err)
	}
	for _, name := range accounts {
		r.logIn(t, sim, name, format.Schwab)
	}
	return r
}

func (r *revoker) yaml(accounts ...string) string {
	text := "plugins: {dir: plugins}\naccounts:\n"
	for _, name := range accounts {
		text += accountYAML(name, r.sim, r.sim.TokenURL(), "before_expiry: 5m")
	}
	text = strings.ReplaceAll(text, "provider: schwab", "provider: "+r.provider)
	text = strings.ReplaceAll(text, "    refresh: ", r.shared+"    refresh: ")
	return strings.ReplaceAll(text, "settings: {", `settings: {revoke_url: "`+r.sim.RevokeURL()+`", `) + filesYAML
}

// says runs a verb, which ends with the code and says that, and no secret.
func (r *revoker) says(code int, wants []string, args ...string) result {
	r.t.Helper()
	got := r.tool(r.t, "", args...)
	text := inOneLine(got.stdout + got.stderr)
	for _, want := range wants {
		if !strings.Contains(text, want) {
			r.t.Errorf("%v: %q is not in: %s", args, want, text)
		}
	}
	if got.code != code {
		r.t.Errorf("%v: exit code %d, want %d: %s", args, got.code, code, text)
	}
	r.tellsNoToken(text)
	return got
}

// tellsNoToken: no token and no secret stands in a text.
func (r *revoker) tellsNoToken(text string) {
	r.t.Helper()
	secrets := []string{r.sim.Config().ClientSecret}
	for _, name := range []string{"main", "other"} {
		now, _ := r.sim.Current(name)
		secrets = append(secrets, now.AccessToken, now.RefreshToken)
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			r.t.Error("a token or a secret is told")
		}
	}
}

// A login is revoked at its broker, and then nothing is sent with its token, over a kill;
// what fails changes nothing, and what nobody knows the next refresh finds out.
func TestLoginIsRevoked(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	s := newRevoker(t, brokersim.RevokesGrant, "main", "other")
	before, _ := s.sim.Current("main")
	s.says(exitFailure, []string{"without one nothing is revoked: start it (tokenkeeper run, or its service)"}, "revoke", "main", "--yes")
	r := startRun(t, s.site)
	r.until(func(st control.Status) bool { return provider(st, "revokes").State == control.ProviderRunning })
	r.delivered("main", 1)

	s.says(exitUsage, []string{"the login of account main at its broker (provider revokes, version 1) ends for good", "add --yes"}, "revoke", "main")
	s.sim.Inject(brokersim.ServerError(503).For("main").On("revoke"))
	s.says(exitFailure, []string{"account main: nothing was revoked: ", "asks to come back later (HTTP 503); try again"}, "revoke", "main", "--yes")
	s.sim.Inject(brokersim.LostAnswer().For("main").On("revoke"))
	got := s.says(exitFailure, []string{"nobody knows whether its login is revoked", "counts neither as dead nor as living", "tokenkeeper refresh main --force"}, "revoke", "main", "--yes", "--json")
	if !strings.Contains(got.stderr, `"code":"outcome_unknown"`) {
		t.Errorf("as JSON: %s", got.stderr)
	}
	if n := s.sim.Account("main"); n.Revocations != 0 || !s.sim.RefreshValid(before.RefreshToken) {
		t.Fatalf("it is revoked: %+v", n)
	}
	s.says(exitOK, []string{"main: refreshed: v2"}, "refresh", "main", "--force")
	s.says(exitOK, []string{"main valid v2"}, "status", "main")

	r.delivered("main", 2)
	held, err := os.ReadFile(s.path("main.json"))
	if err != nil {
		t.Fatal(err)
	}
	refreshes := s.sim.Account("main").Refreshes
	out := s.says(exitOK, nil, "revoke", "main", "--yes", "--json")
	if got := decode[control.RevokeAnswer](t, out.stdout); got.Account != "main" || got.Provider != "revokes" || got.Version != 2 || got.Revoked.IsZero() || got.Expiry.IsZero() {
		t.Errorf("as JSON: %+v", got)
	}
	if n := s.sim.Account("main"); n.Revocations != 1 || s.sim.RefreshValid(before.RefreshToken) {
		t.Errorf("it is not revoked: %+v", n)
	}
	over := func() {
		t.Helper()
		s.says(exitOK, []string{"main needs login v2", "its login was revoked by a person (user ", "log in with: tokenkeeper login main"}, "status", "main")
		s.says(exitFailure, []string{"its login was revoked by a person"}, "refresh", "main")
		s.says(exitFailure, []string{"account main: nothing was revoked: its login was revoked", "already"}, "revoke", "main", "--yes")
		s.says(exitOK, []string{"its login was revoked by a person (user ", "tokenkeeper login main"}, "explain", "main")
		if now, err := os.ReadFile(s.path("main.json")); err != nil || string(now) != string(held) {
			t.Errorf("the sink does not keep what it has: %v", err)
		}
	}
	over()
	r.Kill()
	log := r.Stderr()
	r = startRun(t, s.site)
	r.until(func(st control.Status) bool {
		return provider(st, "revokes").State == control.ProviderRunning && account(st, "main").State == control.AccountNeedsLogin
	})
	over()
	s.says(exitOK, []string{"other: refreshed"}, "refresh", "other", "--force")
	if n := s.sim.Account("main"); n.Refreshes != refreshes || n.Refused != 0 || len(s.sim.Violations()) > 0 {
		t.Errorf("the dead token was sent: %+v, %+v", n, s.sim.Violations())
	}

	// With a new login it goes on, and nothing is said of what was.
	body := tokenFileOf(t, s.sim.Grant("main"), format.Schwab, time.Now())
	if got := s.tool(t, string(body), "import", "main", "-"); got.code != exitOK {
		t.Fatalf("import: %+v", got)
	}
	s.says(exitOK, []string{"main: refreshed: v4"}, "refresh", "main", "--force")
	if st := s.says(exitOK, []string{"main valid v4"}, "status", "main"); strings.Contains(st.stdout, "revoked") {
		t.Errorf("status: %s", st.stdout)
	}
	r.Stop()
	for _, want := range []string{"is asked for revoke", "event=revoked", "event=revoke_unknown"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log", want)
		}
	}
	s.tellsNoToken(log + r.Stderr())
}

// Of a built-in broker nobody knows how to revoke a login: that is said, with what to do,
// and nothing is asked of it.
func TestBuiltInBrokersRevokeNothing(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	r, s, schwab, saxo := startBoth(t)
	for account, provider := range map[string]string{schwabAccount: "schwab", saxoAccount: "saxo"} {
		r.refreshed(account)
		got := s.tool(t, "", "revoke", account, "--yes")
		for _, want := range []string{"account " + account + ": provider " + provider + " knows no way to have its broker end a login: nothing was asked of it", "in the broker's own settings"} {
			if text := inOneLine(got.stdout + got.stderr); got.code != exitFailure || !strings.Contains(text, want) {
				t.Errorf("exit code %d, %q is not in: %s", got.code, want, text)
			}
		}
		if st := s.tool(t, "", "status", account); !strings.Contains(inOneLine(st.stdout), account+" valid") {
			t.Errorf("something follows: %s", st.stdout)
		}
	}
	if n := len(schwab.Violations()) + len(saxo.Violations()); n > 0 {
		t.Errorf("%d violations", n)
	}
	r.Stop()
}

// An account that is in no configuration any more is forgotten with its login, by the
// client of another account: only if the broker has ended that, and of nobody else.
func TestForgottenWithItsLogin(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	s := newRevoker(t, brokersim.RevokesGrant, "main", "other")
	main, _ := s.sim.Current("main")
	other, _ := s.sim.Current("other")
	r := startRun(t, s.site)
	r.until(func(st control.Status) bool { return provider(st, "revokes").State == control.ProviderRunning })
	lives := func(want bool) {
		t.Helper()
		if s.sim.RefreshValid(main.RefreshToken) != want || !s.sim.RefreshValid(other.RefreshToken) {
			t.Errorf("main lives: %t, other: %t", !want, s.sim.RefreshValid(other.RefreshToken))
		}
	}
	forget := []string{"accounts", "forget", "main", "--revoke", "--yes"}
	s.says(exitFailure, []string{"account main is in the configuration", "nothing was forgotten"}, forget...)
	s.configure(t, s.yaml("other"))
	s.says(exitOK, []string{"gone account main"}, "reload")
	r.until(func(st control.Status) bool { return provider(st, "revokes").State == control.ProviderRunning })
	s.says(exitUsage, []string{"at the broker nothing is done (--revoke ends the login there first)"}, "accounts", "forget", "main")
	s.says(exitUsage, []string{"Its login is ended at the broker first"}, "accounts", "forget", "main", "--revoke")
	s.sim.Inject(brokersim.ServerError(503).For("main").On("revoke"))
	s.says(exitFailure, []string{"account main: nothing was revoked: ", "HTTP 503", "; nothing was forgotten"}, forget...)
	s.sim.Inject(brokersim.LostAnswer().For("main").On("revoke"))
	s.says(exitFailure, []string{"nobody knows whether its login is revoked", "To ask once more: tokenkeeper accounts forget main --revoke", "; nothing was forgotten"}, forget...)
	lives(true)
	s.says(exitOK, []string{"main revokes"}, "accounts", "list")
	s.says(exitOK, []string{"what was stored of account main is removed. At the broker its login was ended"}, forget...)
	lives(false)
	if list := s.says(exitOK, nil, "accounts", "list"); strings.Contains(list.stdout, "main") {
		t.Errorf("it is there:\n%s", list.stdout)
	}
	r.Stop()
	s.says(exitFailure, []string{"nothing was forgotten", "start it (tokenkeeper run, or its service)"}, "accounts", "forget", "main", "--revoke", "--yes")
	if v := s.sim.Violations(); len(v) > 0 {
		t.Errorf("the broker complains: %+v", v)
	}
}
