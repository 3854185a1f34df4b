package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// newExample installs one of the examples as it stands, but for the place of
// the bots' files; the broker's address comes from the environment. The first
// line of secrets names a file for the rest.
func newExample(t *testing.T, name, secrets string, env ...string) *site {
	t.Helper()
	s := newSite(t, "")
	s.config = s.path(name)
	yaml := string(readFile(t, filepath.Join("../../configs", name)))
	write(t, s.config, strings.NewReplacer("/var/lib/bots/", s.dir+"/", "/run/bot/", s.dir+"/").Replace(yaml))
	if err := os.MkdirAll(s.path("secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	file, content, _ := strings.Cut(secrets, "\n")
	write(t, s.path(filepath.Join("secrets", file)), content)
	s.env = append(env, "TOKENKEEPER_STATE_DIR="+s.path("state"))
	return s
}

// mustCheck validates the example and sees that it says who gets the refresh
// token.
func (s *site) mustCheck(t *testing.T, want string) {
	t.Helper()
	out := s.tool(t, "", "check")
	if out.code != exitOK || strings.Contains(out.stdout, "warning") || !strings.Contains(out.stdout, want) {
		t.Fatalf("check, want %q: %+v", want, out)
	}
}

// The service that refreshes a Schwab token, rewrites its file and pushes it
// to a bot over a Unix socket.
func TestMigrateSchwabSender(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, ClientID: "the-key", ClientSecret: "the-secret"})
	s := newExample(t, "schwab-sender.yaml", "schwab.yaml\napp_key: the-key\napp_secret: the-secret\n")
	file := s.path("schwab_tokens.json")
	s.env = append(s.env, "TOKENKEEPER_PROVIDERS__SCHWAB__SETTINGS__TOKEN_URL="+schwab.TokenURL())
	bot := newConsumer(t, s.path("token.sock"), "OK")

	// As the old service left it: the last refresh was an hour ago.
	g := schwab.Grant("schwab-main")
	login := time.Now().Add(-48 * time.Hour).Unix()
	const layout = `{
    "creation_timestamp": %d,
    "token": {
        "expires_in": 1800,
        "token_type": "Bearer",
        "scope": "api",
        "refresh_token": %q,
        "access_token": %q,
        "id_token": %q,
        "expires_at": %d
    }
}`
	write(t, file, fmt.Sprintf(layout, login, g.RefreshToken, g.AccessToken, g.IDToken, time.Now().Add(-time.Hour).Unix()))
	s.mustCheck(t, "token-file  file        SENT")
	if out := s.tool(t, "", "import", "schwab-main", file); out.code != exitOK || !strings.Contains(out.stderr, "uncertain") {
		t.Fatalf("import: %+v", out)
	}
	before := time.Now().Unix()
	r := startRun(t, s)
	r.delivered("schwab-main", 2)
	after := time.Now().Unix()

	now, _ := schwab.Current("schwab-main")
	body := string(readFile(t, file))
	written := decodeFile[struct {
		Token struct {
			IDToken   string `json:"id_token"`
			ExpiresAt int64  `json:"expires_at"`
		} `json:"token"`
	}](t, file).Token
	if want := fmt.Sprintf(layout, login, now.RefreshToken, now.AccessToken, written.IDToken, written.ExpiresAt); body != want {
		t.Errorf("the file is\n%s\nwant\n%s", body, want)
	}
	if written.ExpiresAt < before+1800 || written.ExpiresAt > after+1800 || written.IDToken == "" || written.IDToken == g.IDToken {
		t.Errorf("expires_at is %d after the refresh began; the id_token is the old one: %t", written.ExpiresAt-before, written.IDToken == g.IDToken)
	}
	if mode := fileOf(t, file).Mode().Perm(); mode != 0o600 {
		t.Errorf("the file's mode is %o", mode)
	}
	message := string(bot.until(now.AccessToken))
	if want := fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"expires_at":%d}`, now.AccessToken, now.RefreshToken, written.ExpiresAt); message != want {
		t.Errorf("the bot was sent\n%s\nwant\n%s", message, want)
	}
	a := account(r.until(func(control.Status) bool { return true }), "schwab-main")
	if due := time.Until(a.Due); due < 23*time.Minute || due > 25*time.Minute || !a.RefreshExpiryUncertain || a.RefreshExpiry.Unix() != login+7*24*3600 {
		t.Errorf("the account: %+v", a)
	}
	r.Stop()
	mustHavePosted(t, schwab, "schwab-main", 1)
}

// The service that keeps a Saxo token in a file that bots use.
func TestMigrateSaxoKeeper(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		t.Skip("this machine has no time zones: ", err)
	}
	saxo := startBroker(t, brokersim.Config{
		Dialect: brokersim.Saxo, ClientID: "the-key", ClientSecret: "the-secret", RedirectURL: "http://localhost:8765/callback",
		RefreshLifetime: brokersim.SaxoLiveRefreshLifetime,
	})
	s := newExample(t, "saxo-keeper.yaml", "none\n", "TZ=Europe/Copenhagen", "TOKENKEEPER_ACCOUNTS__SAXO_LIVE__SETTINGS__TOKEN_URL="+saxo.TokenURL())
	file := s.path("saxo_tokens.json")

	g := saxo.Grant("saxo-live")
	const layout = `{
  "access_token": %q,
  "refresh_token": %q,
  "token_expiry": %q,
  "app_key": "the-key",
  "app_secret": "the-secret"
}`
	const isoformat = "2006-01-02T15:04:05.000000"
	write(t, file, fmt.Sprintf(layout, g.AccessToken, g.RefreshToken, time.Now().Add(-10*time.Minute).In(zone).Format(isoformat)))
	issued := time.Now().Add(-29 * time.Minute) // token_expiry is a minute early
	if err := os.Chtimes(file, issued, issued); err != nil {
		t.Fatal(err)
	}
	s.mustCheck(t, "readers")
	before := time.Now()
	r := startRun(t, s)
	r.delivered("saxo-live", 2)
	after := time.Now()

	now, _ := saxo.Current("saxo-live")
	var written struct {
		TokenExpiry string `json:"token_expiry"`
	}
	body := readFile(t, file)
	if err := json.Unmarshal(body, &written); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(layout, now.AccessToken, now.RefreshToken, written.TokenExpiry); string(body) != want {
		t.Errorf("the file is\n%s\nwant\n%s", body, want)
	}
	expiry, err := time.ParseInLocation(isoformat, written.TokenExpiry, zone)
	if err != nil {
		t.Fatalf("token_expiry: %v", err)
	}
	const early = 60 * time.Second
	if from, to := before.Add(1200*time.Second-early), after.Add(1200*time.Second-early); expiry.Before(from) || expiry.After(to) {
		t.Errorf("token_expiry is %s, want from %s to %s", expiry, from, to)
	}
	readers := string(readFile(t, s.path("saxo_access.json")))
	if want := fmt.Sprintf("{\n  \"access_token\": %q,\n  \"token_expiry\": %q\n}", now.AccessToken, written.TokenExpiry); readers != want {
		t.Errorf("the readers' file is\n%s\nwant\n%s", readers, want)
	}
	// Whoever goes back finds a grant that lives.
	if now.RefreshToken == g.RefreshToken || !saxo.RefreshValid(now.RefreshToken) || !saxo.AccessValid(now.AccessToken) {
		t.Error("the file's tokens do not work")
	}
	a := account(r.until(func(s control.Status) bool { return !account(s, "saxo-live").InFlight }), "saxo-live")
	if due := time.Until(a.Due); due < 13*time.Minute || due > 15*time.Minute || a.RefreshExpiryUncertain {
		t.Errorf("the account: %+v", a)
	}
	r.Stop()
	mustHavePosted(t, saxo, "saxo-live", 1)
	if v := saxo.Violations(); len(v) > 0 {
		t.Errorf("the broker objects to %+v", v)
	}
}

// TestReadmeCutsOverAndBack types what configs/README.md says, line by line: Tokenkeeper goes
// on with the old service's token, and that one with Tokenkeeper's. Of both services of a
// machine it stands in for what systemctl does.
func TestReadmeCutsOverAndBack(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const name = "saxo-live"
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(name, saxo, saxo.TokenURL(), "before_expiry: 9m59s")+
		"sinks:\n  cache: {type: file, path: saxo_tokens.json, format: saxo-cache, include_refresh_token: true}\n")
	old, oldRuns := oldService{saxo, s.path("saxo_tokens.json")}, true
	g, c := saxo.Grant(name), saxo.Config()
	write(t, old.file, fmt.Sprintf(`{"access_token": %q, "refresh_token": %q, "token_expiry": %q, "app_key": %q, "app_secret": %q}`,
		g.AccessToken, g.RefreshToken, time.Now().Add(9*time.Minute).Format("2006-01-02T15:04:05"), c.ClientID, c.ClientSecret))
	var r *running
	typed := func(holds string) (shown string) {
		t.Helper()
		var script string
		for _, block := range fenced(t, filepath.Join(repository, "configs", "README.md"), "sh") {
			if strings.Contains(block, holds) {
				script = strings.NewReplacer("/var/lib/bots/", s.dir+"/", "/root/", s.dir+"/").Replace(block)
			}
		}
		for line := range strings.Lines(script) {
			line, _, _ = strings.Cut(line, "#")
			line = strings.TrimSpace(line)
			switch args := strings.Fields(line); {
			case strings.HasPrefix(line, "tokenkeeper run"):
				if oldRuns {
					t.Error("both refresh the login")
				}
				r = startRun(t, s)
				r.delivered(name, 2)
			case args[0] == "tokenkeeper":
				got := s.tool(t, "", args[1:]...)
				if shown += got.stdout; got.code != exitOK {
					t.Errorf("%s: %+v", line, got)
				}
			case line == "systemctl stop old-token-service":
				oldRuns = false
			case line == "systemctl start old-token-service":
				oldRuns = true
			case line == "systemctl stop tokenkeeper":
				r.Stop()
				s.mustBeGone(t)
			case line == "systemctl disable old-token-service":
			default:
				if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
			}
		}
		return shown
	}

	shown := inOneLine(typed("saxo_tokens.before.json"))
	for _, want := range []string{name + ": imported as v1", "cache " + name + " file v2 0 "} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	if kept := string(readFile(t, s.path("saxo_tokens.before.json"))); !strings.Contains(kept, g.RefreshToken) {
		t.Error("what was copied for the record is not the file of before")
	}
	mustHavePosted(t, saxo, name, 1)

	if shown := inOneLine(typed("systemctl start old-token-service")); !oldRuns || !strings.Contains(shown, "cache "+name+" file v2 0 ") {
		t.Errorf("the old service runs again: %t, after\n%s", oldRuns, shown)
	}
	old.refresh(t)
	mustHavePosted(t, saxo, name, 2)
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("a refresh token was used twice: %v", reused)
	}
}
