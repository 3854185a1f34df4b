package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A broker replaces the secret of a client while both stand in the configuration: it is
// refreshed with the one and then with the other, the list may be turned round, and what
// spends the token before it looks at the client sees it once. Nobody is told a secret.
func TestClientSecretIsReplacedWhileItRuns(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const before, after, strictAccount = canaryWord + "-the-secret-of-before", canaryWord + "-the-secret-of-after", "saxo-strict"
	c := &canaries{}
	c.add("the old client secret", before)
	c.add("the new client secret", after)
	sims := map[string]*brokersim.Server{
		schwabAccount: brokersim.New(brokersim.Config{Dialect: brokersim.Schwab, ClientSecret: before, WrapsInvalidClient: true}),
		saxoAccount:   brokersim.New(brokersim.Config{Dialect: brokersim.Saxo, ClientSecret: before}),
		strictAccount: brokersim.New(brokersim.Config{Dialect: brokersim.Saxo, ClientSecret: before, SpendsFirst: true}),
	}
	schwab, saxo, strict := sims[schwabAccount], sims[saxoAccount], sims[strictAccount]
	accounts := "accounts:\n"
	for _, name := range []string{schwabAccount, saxoAccount, strictAccount} {
		accounts += accountYAML(name, sims[name], overheard(t, sims[name], c), "before_expiry: 5m")
		if name == saxoAccount {
			accounts += "    client_checked_first: true\n"
		}
	}
	configured := func(s *site, secrets string) {
		s.configure(t, strings.ReplaceAll(accounts, "client_secret: "+before, "client_secret: ["+secrets+"]")+filesYAML)
	}
	const old, fresh = "'${file:secrets.yaml#old}'", "'${file:secrets.yaml#new}'"
	s := newSite(t, "")
	write(t, s.path("secrets.yaml"), fmt.Sprintf("old: %q\nnew: %q\n", before, after))
	configured(s, old+", "+fresh)
	logIn := func(name, layout string) {
		t.Helper()
		out := s.tool(t, string(tokenFileOf(t, c.grant(sims[name].Grant(name)), layout, time.Now())), "import", name, "-")
		if out.code != exitOK {
			t.Fatalf("import: %+v", out)
		}
	}
	r := startRun(t, s)
	events := s.followEvents(t)
	logIn(schwabAccount, format.Schwab)
	logIn(saxoAccount, format.SaxoCache)
	logIn(strictAccount, format.SaxoCache)
	refused := func(when string, name string, want int) {
		t.Helper()
		if got := sims[name].Account(name).Refused; got != want {
			t.Errorf("%s: %s was refused %d times, want %d", when, name, got, want)
		}
	}

	for _, taken := range [][]string{{before}, {before, after}} {
		for name, sim := range sims {
			sim.TakeSecrets(taken...)
			r.refreshed(name)
			refused("with the old one", name, 0)
		}
	}
	for _, sim := range sims {
		sim.TakeSecrets(after)
	}
	for _, name := range []string{schwabAccount, saxoAccount} {
		r.refreshed(name)
		r.refreshed(name)
		refused("with the new one alone", name, 1)
	}
	if n := strings.Count(r.Stderr(), "does not take the client secret that was presented"); n != 2 {
		t.Errorf("that was told %d times, want for two accounts", n)
	}

	now, _ := strict.Current(strictAccount)
	for _, ask := range [][]string{{"refresh", "--force", strictAccount}, {"refresh", strictAccount}} {
		out := s.tool(t, "", ask...)
		if text := inOneLine(out.stdout + out.stderr); out.code == exitOK || !strings.Contains(text, "tokenkeeper refresh "+strictAccount+" --force") {
			t.Errorf("%v: exit code %d: %s", ask, out.code, text)
		}
	}
	r.until(func(st control.Status) bool {
		return account(st, strictAccount).Failures == 1 && account(st, strictAccount).Due.IsZero()
	})
	if n := strict.Uses(now.RefreshToken); n != 1 {
		t.Errorf("the strict broker saw the token %d times", n)
	}
	c.looksEverywhere(t, s)

	reload := func(secrets, want string) {
		t.Helper()
		configured(s, secrets)
		out := s.tool(t, "", "reload")
		if text := inOneLine(out.stdout + out.stderr); out.code != exitOK || !strings.Contains(text, want) {
			t.Errorf("reload: exit code %d: %s", out.code, text)
		}
		c.mustNotBeIn(t, "reload", out.stdout+out.stderr)
	}
	reload(fresh+", "+old, "changed account "+schwabAccount+" client_secret")
	for _, name := range []string{schwabAccount, saxoAccount} {
		r.refreshed(name)
		refused("turned round", name, 1)
	}
	// Other secrets are a person's word that the token is to be sent again, which that broker
	// has used up.
	r.until(func(st control.Status) bool { return account(st, strictAccount).State == control.AccountNeedsLogin })
	if n := strict.Uses(now.RefreshToken); n != 2 {
		t.Errorf("the strict broker saw the token %d times", n)
	}
	reload(fresh, "changed account "+strictAccount+" client_secret")
	logIn(strictAccount, format.SaxoCache)
	r.refreshed(strictAccount)
	for name, sim := range sims {
		r.refreshed(name)
		if current, _ := sim.Current(name); !current.Alive {
			t.Errorf("%s has lost its login", name)
		}
	}
	if len(schwab.Reused())+len(saxo.Reused()) > 0 {
		t.Error("a token was spent twice")
	}

	c.looksEverywhere(t, s)
	r.Stop()
	c.mustNotBeIn(t, "standard error", r.Stderr())
	c.mustNotBeIn(t, "the stream of events", events())
	mustBePrivate(t, s.path("state"))
}
