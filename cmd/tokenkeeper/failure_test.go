package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// verbs are the command lines of all verbs that people see, without arguments.
func verbs(t *testing.T) [][]string {
	t.Helper()
	var all [][]string
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		all = append(all, path)
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				walk(sub, append(slices.Clip(path), sub.Name()))
			}
		}
	}
	walk(newRootCommand(newEnv(nil, nil, nil)), nil)
	if len(all) < 20 {
		t.Fatalf("only %d verbs: %v", len(all), all)
	}
	return all
}

func failureIn(t *testing.T, got result) failure {
	t.Helper()
	var f struct{ Error failure }
	if err := json.Unmarshal([]byte(got.stderr), &f); err != nil || f.Error.Message == "" || got.stdout != "" || f.Error.ExitCode != got.code {
		t.Errorf("exit code %d, %v, stdout %s, stderr %s", got.code, err, got.stdout, got.stderr)
	}
	return f.Error
}

func TestJSONErrors(t *testing.T) {
	for _, verb := range verbs(t) {
		t.Run(strings.Join(verb, " "), func(t *testing.T) {
			got := command(t, "", append(verb, "--nope", "--json")...)
			if f := failureIn(t, got); got.code != exitUsage || f.Code != "usage" || !strings.Contains(f.Message, "unknown flag: --nope") {
				t.Errorf("got %d, %+v", got.code, f)
			}
		})
	}
	if f := failureIn(t, command(t, "", "status", "--json", "--socket", t.TempDir()+"/none.sock")); f.Code != "not_running" {
		t.Errorf("no supervisor: %+v", f)
	}
	if f := failureIn(t, command(t, "", "run", "--json", "-c", "/nonexistent.yaml")); len(f.Problems) != 1 || f.Problems[0].File != "/nonexistent.yaml" {
		t.Errorf("no configuration: %+v", f)
	}
	s := newSite(t, "")
	s.env = append(s.env, "TZ=Nowhere/Land")
	if got := s.tool(t, "", "version", "--json"); got.code != exitUsage {
		t.Errorf("a zone that does not exist: %+v", failureIn(t, got))
	}
	if got := command(t, "", "nope", "--", "--json"); !strings.HasPrefix(got.stderr, "tokenkeeper: ") {
		t.Errorf("without --json: %s", got.stderr)
	}
}

// A service manager need not try a configuration again that only a person can correct;
// a secret that is missing may come.
func TestExitCodesOfRun(t *testing.T) {
	const secret = "accounts: {main: {provider: saxo, client_id: id, client_secret: \"${env:TK_TEST_NOT_SET}\"}}\n"
	for name, tc := range map[string]struct {
		yaml string
		code int
	}{
		"no YAML":           {"accounts: [", exitConfig},
		"an unknown key":    {"no_such_key: 1\n" + secret, exitConfig},
		"a missing secret":  {secret, exitUsage},
		"no such log file":  {"log: {file: /nonexistent/log}\naccounts: {main: {provider: saxo, client_id: id}}\n", exitUsage},
		"a refused budget":  {"accounts: {main: {provider: saxo, client_id: id, client_secret: s, refresh: {budget: 12/h}}}\n", exitConfig},
		"a value unknown":   {"accounts: {main: {provider: saxo, client_id: id, client_secret: s, settings: {environment: liv}}}\n", exitConfig},
		"an unknown broker": {"accounts: {main: {provider: nobody, client_id: id}}\n", exitConfig},
	} {
		w := newWorld(t, tc.yaml)
		if got := command(t, "", "run", "-c", w.config); got.code != tc.code {
			t.Errorf("%s: exit code %d, want %d: %s", name, got.code, tc.code, got.stderr)
		}
	}
}

func TestVerbsThatNeedNoSecretAskForNone(t *testing.T) {
	s := newSite(t, `
accounts:
  main:
    provider: schwab
    client_id: ${env:TK_TEST_NOT_SET}
    client_secret: ${file:none.yaml#secret}
    settings: {token_url: "${env:TK_TEST_NOT_SET}"}
sinks:
  hook: {type: webhook, url: "https://${env:TK_TEST_NOT_SET}/", secret: "${env:TK_TEST_NOT_SET}", headers: {X-Key: "${env:TK_TEST_NOT_SET}"}}
  phone: {type: notify, urls: ["${env:TK_TEST_NOT_SET}"]}
machine_guard: on
`)
	token := `{"access_token": "a", "refresh_token": "r", "expires_in": 1800}`
	for _, args := range [][]string{{"plugins"}, {"spool"}, {"import", "main", "-"}, {"adopt"}} {
		if got := s.tool(t, token, args...); got.code != exitOK {
			t.Errorf("%s: %+v", args[0], got)
		}
	}
	for _, verb := range []string{"check", "run"} {
		got := s.tool(t, "", verb)
		for _, key := range []string{"client_id", "client_secret", "settings.token_url", "hook.url", "hook.secret", "hook.headers", "phone.urls"} {
			if got.code != exitUsage || !strings.Contains(got.stdout+got.stderr, key) {
				t.Errorf("%s says nothing of %s: %+v", verb, key, got)
			}
		}
	}
}

func TestCheckSaysWhatHolds(t *testing.T) {
	s := newSite(t, `
accounts:
  long: {provider: schwab, client_id: a, client_secret: b, redirect_url: "https://127.0.0.1", refresh: {before_expiry: 2h}}
  rare: {provider: schwab, client_id: a, client_secret: b, redirect_url: "https://127.0.0.1", refresh: {before_expiry: 5m, every: 28m}}
  both: {provider: schwab, client_id: a, client_secret: b, redirect_url: "https://127.0.0.1", refresh: {before_expiry: 5m, every: 20m}}
`)
	got := s.tool(t, "", "check")
	for _, want := range []string{"22m before expiry", "before_expiry 2h0m0s: ", "5m before expiry or every 20m", "it can run; 3 warnings, see above\n"} {
		if got.code != exitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("exit code %d, no %q in\n%s", got.code, want, got.stdout)
		}
	}
	for _, wrong := range []string{"everything is in order", "2h before expiry", "every 28m\n", "or every 28m"} {
		if strings.Contains(got.stdout, wrong) {
			t.Errorf("%q in\n%s", wrong, got.stdout)
		}
	}
}
