package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// A provider and a sink tell every secret that they were ever told, in every
// form and wherever they can say anything. Nobody hears one, and no text plays
// tricks with a reader; what else runs is not disturbed.
func TestPluginsThatTellEverything(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &canaries{}
	secret := func(what string) string {
		s := canaryWord + `+/&"` + what + `==@` + strings.Repeat(what, 2)
		for _, form := range spoken(s) {
			c.add(what, form)
		}
		return s
	}
	receiver := newHook(t)
	s := newSite(t, "")
	write(t, s.path("secrets.yaml"), fmt.Sprintf("client: %q\nkey: %q\npassword: %q\n",
		secret("the-client-secret"), secret("a-setting-of-the-provider"), secret("a-setting-of-the-sink")))
	// Neither their name nor their look nor a reference says that these are secret.
	// They begin in another way than the others, or would be found by that.
	declared := func(what string) string {
		s := what + ` & "` + canaryWord + `" in plain words`
		for _, form := range spoken(s) {
			c.add(what, form)
		}
		return s
	}
	greeting, remark := declared("a declared setting"), declared("one of the sink")
	s.configure(t, `log: {level: debug, file: tk.log}
accounts:
  told: {provider: hostile, client_id: id, client_secret: "${file:secrets.yaml#client}", redirect_url: "https://127.0.0.1:8182", settings: {api_key: "${file:secrets.yaml#key}", greeting: '`+greeting+`'}}
providers:
  hostile: {command: ["`+self+`", `+hostileVerb+`, provider]}
sinks:
  files: {type: file, path: "{account}.json", include_refresh_token: true}
  odd:   {type: hostile, command: ["`+self+`", `+hostileVerb+`, sink], include_refresh_token: true, events: [token, alert], settings: {password: "${file:secrets.yaml#password}", greeting: '`+remark+`'}}
  hook:  {type: webhook, url: "`+receiver.url+`", events: [alert, lifecycle]}
`)
	access, refresh := secret("a-first-access-token"), secret("a-first-refresh-token")
	token := fmt.Sprintf(`{"access_token": %q, "refresh_token": %q, "expires_at": %q, "token_type": "Bearer"}`,
		access, refresh, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))

	quiet := func(what, text string) {
		t.Helper()
		c.mustNotBeIn(t, what, text)
		mustHaveNoTricks(t, what, text)
	}
	said := func(args ...string) result {
		t.Helper()
		out := s.tool(t, "", args...)
		quiet(strings.Join(args, " "), out.stdout+out.stderr)
		return out
	}
	// These ask a process of their own, which nobody has told anything.
	said("check", "--json")
	said("plugins")
	said("plugins", "--json")

	r := startRun(t, s)
	events := s.followEvents(t)
	everywhere := func() {
		t.Helper()
		for _, args := range [][]string{
			{"status"}, {"status", "--json"}, {"sinks"}, {"sinks", "--json"},
			{"alerts"}, {"alerts", "--json"}, {"sinks", "test", "odd"}, {"sinks", "redeliver", "odd"},
		} {
			said(args...)
		}
		quiet("metrics", metricsOf(t, s))
	}

	if out := s.tool(t, token, "import", "told", "-"); out.code != exitOK {
		t.Fatalf("import: %+v", out)
	}
	runs := func(st control.Status) bool { return provider(st, "hostile").State == control.ProviderRunning }
	st := r.until(runs)
	pid, version := provider(st, "hostile").PID, account(st, "told").Version
	for _, mode := range []string{"", "kind", "unknown", "bare", "invalid_client", "ambiguous", "oversized", "answer", "invalid_grant"} {
		write(t, s.path("mode"), mode)
		out := said("refresh", "--force", "told")
		if mode == "invalid_client" || mode == "invalid_grant" {
			everywhere()
		}
		// An answer that is none of ours ends the process: the next one has
		// heard everything before it is asked who it is. What is asked of the
		// old one until it has ended would wait for as long as its attempt may take.
		ends := mode == "bare" || mode == "oversized"
		st = r.until(func(st control.Status) bool {
			return runs(st) && (provider(st, "hostile").PID != pid) == ends && !account(st, "told").InFlight
		})
		// Where a machine is slow the command has not waited for the end.
		newer, slow := account(st, "told").Version > version, strings.Contains(out.stderr, "has not ended yet; it goes on")
		if newer != (mode == "answer") || !slow && newer != (out.code == exitOK) {
			t.Errorf("refresh, %q, which brought a newer version: %t: %+v", mode, newer, out)
		}
		pid, version = provider(st, "hostile").PID, account(st, "told").Version
	}
	quiet("logging in", loginToldEverything(t, s))
	write(t, s.path("mode"), "")
	said("login", "told")
	said("restart", "hostile")
	said("sinks", "restart", "odd")
	everywhere()
	st = r.until(runs)
	if v := provider(st, "hostile").Version; len(v) > 64 || !strings.HasPrefix(v, "1.0") {
		t.Errorf("the version is %q", v)
	}
	r.Stop()

	log := string(readFile(t, s.path("tk.log")))
	quiet("the log", log)
	quiet("standard error", r.Stderr())
	quiet("the events", events())
	quiet("webhooks", strings.Join(receiver.received(), "\n"))
	for _, want := range []string{"plain ", "structured ", "refresh failed", "event=refreshed", "stream=stdout", "sink=odd", "lines were dropped"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q: the search proves nothing", want)
		}
	}
	for what, text := range map[string]string{"events": events(), "webhooks": strings.Join(receiver.received(), "\n")} {
		if !strings.Contains(text, "[redacted]") || !strings.Contains(text, "needs_login") {
			t.Errorf("the %s have nothing that was redacted: the search proves nothing", what)
		}
	}
	if body := string(readFile(t, s.path("told.json"))); len(c.in(body)) == 0 {
		t.Error("the file sink has no token: the search proves nothing")
	}
}

func mustHaveNoTricks(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("%s holds %q", what, r)
			return
		}
	}
}
