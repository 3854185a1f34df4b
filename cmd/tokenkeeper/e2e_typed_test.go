package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// typist does what a README says, line by line, in the folder of an installation
// that stands for the machine.
type typist struct {
	t *testing.T
	s *site
	// places are the machine's folders, and where they are here.
	places *strings.Replacer
	// does is what no shell of this machine can: the services.
	does map[string]func()
	r    *running
}

// block types the one block of a README for a shell that holds a text, and returns
// what the commands have said.
func (p *typist) block(file, holds string) (said string) {
	p.t.Helper()
	typed := 0
	for _, block := range fenced(p.t, filepath.Join(repository, file), "sh") {
		if !strings.Contains(block, holds) {
			continue
		}
		for line := range strings.Lines(block) {
			typed++
			said += p.line(line)
		}
	}
	if typed == 0 {
		p.t.Fatalf("%s has no block with %q", file, holds)
	}
	return said
}

func (p *typist) line(line string) (said string) {
	p.t.Helper()
	line, _, _ = strings.Cut(line, " #")
	line = strings.TrimSpace(line)
	words := strings.Fields(line)
	switch {
	case p.does[line] != nil:
		p.does[line]()
		return ""
	case strings.HasPrefix(line, "tokenkeeper run"):
		p.r = startRun(p.t, p.s)
		p.r.until(func(st control.Status) bool { // a person types no faster
			return !slices.ContainsFunc(st.Providers, func(s control.Provider) bool { return s.State != control.ProviderRunning })
		})
		return ""
	case strings.HasPrefix(line, "tokenkeeper login "):
		got := p.s.logInAs(p.t, words[2], words[2])
		if got.code != exitOK {
			p.t.Errorf("%s: %+v", line, got)
		}
		return got.stdout
	}
	beats := waittest.Patience
	if words[0] == "go" { // a build shows nothing of how far it is
		beats = waittest.Most
	}
	ctx, cancel := waittest.Context(p.t.Context(), beats, p.s.logged())
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", p.places.Replace(line))
	cmd.Dir, cmd.Env = p.s.dir, append(os.Environ(), "HOME="+p.s.dir, "PATH="+p.s.path("bin")+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, p.s.env...)
	if words[0] == "go" { // with its caches, and as long as a slow machine compiles
		cmd = exec.CommandContext(p.t.Context(), "sh", "-c", p.places.Replace(line))
		cmd.Dir, cmd.Env = repository, os.Environ()
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// TestReadmeInstalls: what the README says of a first installation leads to a token.
func TestReadmeInstalls(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, ClientID: "the-key", ClientSecret: "the-secret", RedirectURL: "https://127.0.0.1:8182"})
	s := newSite(t, "")
	s.env = []string{
		"TOKENKEEPER_STATE_DIR=" + s.path("state"), "SCHWAB_APP_KEY=the-key", "SCHWAB_APP_SECRET=the-secret",
		"TOKENKEEPER_PROVIDERS__SCHWAB__SETTINGS__TOKEN_URL=" + sim.TokenURL(), "TOKENKEEPER_PROVIDERS__SCHWAB__SETTINGS__AUTHORIZE_URL=" + sim.AuthorizeURL(),
	}
	for _, dir := range []string{"bin", "bot"} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(s.config); err != nil { // which init writes
		t.Fatal(err)
	}
	g := sim.Grant(schwabAccount)
	write(t, s.path("bot/schwab_tokens.json"), string(tokenFileOf(t, g, "schwab", time.Now())))
	p := typist{t: t, s: s, places: strings.NewReplacer("/usr/local/bin/", s.path("bin")+"/", "-o tokenkeeper ", "-o "+s.path("tokenkeeper")+" ")}
	p.block("README.md", "go build -o tokenkeeper")
	said := p.block("README.md", "tokenkeeper init")
	for _, want := range []string{"tokenkeeper.yaml", "schwab-main: imported", "schwab-main: logged in as v2"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q in\n%s", want, said)
		}
	}
	now, _ := sim.Current(schwabAccount)
	if got := s.tool(t, "", "token", schwabAccount); strings.TrimSpace(got.stdout) != now.AccessToken {
		t.Errorf("the token is not the broker's newest: %+v", got)
	}
}

// TestDocumentedMoves: an existing service is cut over and rolled back as
// configs/README.md says, and no refresh token is lost or used twice.
func TestDocumentedMoves(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const name = "saxo-live"
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(name, sim, sim.TokenURL(), "every: 8m")+`sinks:
  cache: {type: file, path: saxo_tokens.json, format: saxo-cache, include_refresh_token: true}
`)
	old := oldService{sim, s.path("saxo_tokens.json")}
	g, c := sim.Grant(name), sim.Config()
	write(t, old.file, fmt.Sprintf(`{"access_token": %q, "refresh_token": %q, "token_expiry": %q, "app_key": %q, "app_secret": %q}`,
		g.AccessToken, g.RefreshToken, time.Now().Add(9*time.Minute).Format("2006-01-02T15:04:05"), c.ClientID, c.ClientSecret))
	if err := os.Mkdir(s.path("bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.program, s.path("bin/tokenkeeper")); err != nil {
		t.Fatal(err)
	}
	stopped := false
	p := typist{t: t, s: s, places: strings.NewReplacer("/var/lib/bots/", s.dir+"/", "/root/", s.dir+"/")}
	p.does = map[string]func(){
		"systemctl stop old-token-service":    func() { stopped = true },
		"systemctl disable old-token-service": func() { stopped = true },
		"systemctl stop tokenkeeper":          func() { p.r.Stop() },
		"systemctl start old-token-service":   func() { old.refresh(t) },
	}

	said := p.block("configs/README.md", "systemctl stop old-token-service")
	if !stopped || !strings.Contains(said, name+": imported") || !strings.Contains(said, name+"  valid ") {
		t.Errorf("cut over, and said\n%s", said)
	}
	if string(readFile(t, s.path("saxo_tokens.before.json"))) == "" {
		t.Error("nothing was kept for the record")
	}
	if err := <-p.r.forceRefresh(name); err != nil {
		t.Fatal(err)
	}
	p.r.until(func(st control.Status) bool { // after a refresh by itself perhaps
		a := account(st, name)
		return a.Version >= 2 && !a.InFlight && a.Sinks[0].Version == a.Version
	})
	p.block("configs/README.md", "systemctl stop tokenkeeper")
	now, ok := sim.Current(name)
	if reused := sim.Reused(); len(reused) > 0 || !ok || !strings.Contains(string(readFile(t, old.file)), now.RefreshToken) {
		t.Errorf("rolled back: used twice %v, living %v", reused, ok)
	}
}
