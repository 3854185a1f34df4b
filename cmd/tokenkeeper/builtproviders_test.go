package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// kindBroker is a token endpoint that takes for each account what it gave out last: a
// refresh token, or the access token itself, once; or any code.
type kindBroker struct {
	mu     sync.Mutex
	access map[string]string // by the path's first part
	issued int
	asked  bool // for the token of a device code
}

func (b *kindBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kind := strings.Split(r.URL.Path, "/")[1]
	if kind == "session" {
		if r.Header.Get("Authorization") != "Bearer "+b.access[kind] {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/device/begin" {
		_, _ = io.WriteString(w, `{"device_code": "D", "user_code": "WDJB-MJHT", "verification_uri": "https://login.example/device", "interval": 1}`)
		return
	}
	id, secret, ok := r.BasicAuth()
	good := map[string]bool{
		"mybroker": r.FormValue("refresh_token") == "refresh of "+b.access[kind],
		"renews":   r.Header.Get("Authorization") == "Bearer "+b.access[kind],
		"device":   r.FormValue("refresh_token") == "refresh of "+b.access[kind] || r.FormValue("device_code") == "D",
		"daily":    r.FormValue("grant_type") == "authorization_code",
		"mints":    r.FormValue("grant_type") == "client_credentials" && ok && id == "app" && secret == "app-secret",
	}
	if !good[kind] {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	if r.FormValue("device_code") != "" && !b.asked { // the person is not done
		b.asked = true
		http.Error(w, `{"error":"authorization_pending"}`, http.StatusBadRequest)
		return
	}
	b.issued++
	b.access[kind] = fmt.Sprintf("access-%d", b.issued)
	answer := map[string]any{"access_token": b.access[kind], "expires_in": 3600}
	if kind == "mybroker" || kind == "device" {
		answer["refresh_token"] = "refresh of " + b.access[kind]
	}
	if kind == "mybroker" {
		delete(answer, "expires_in") // its policy knows
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (b *kindBroker) newest(kind string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.access[kind]
}

// TestShortProviders installs the shortest provider of each kind as a user does. Each
// account gets its first token in the way of its kind, also while no supervisor runs,
// then the next one, and every verb says which way that goes.
func TestShortProviders(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	kinds := []string{"daily", "device", "mints", "mybroker", "renews", "session"}
	sim := &kindBroker{access: map[string]string{"mybroker": "M", "renews": "R", "session": "S"}}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	var yaml strings.Builder
	yaml.WriteString("plugins: {dir: plugins}\naccounts:\n")
	for _, kind := range kinds {
		settings := fmt.Sprintf("token_url: %q", server.URL+"/"+kind+"/token")
		switch kind {
		case "daily":
			settings += fmt.Sprintf(", authorize_url: %q", server.URL+"/daily/authorize")
		case "device":
			settings += fmt.Sprintf(", device_url: %q", server.URL+"/device/begin")
		case "session":
			settings = fmt.Sprintf("beat_url: %q", server.URL+"/session/beat")
		}
		fmt.Fprintf(&yaml, "  %s: {provider: %[1]s, client_id: app, client_secret: app-secret, redirect_url: 'https://127.0.0.1:8182', settings: {%s}}\n", kind, settings)
	}
	yaml.WriteString("sinks:\n  files: {type: file, path: '{account}.json', include_refresh_token: true}\n")
	s := newSite(t, yaml.String())
	install := func(kind string) {
		t.Helper()
		if err := goBuild(example("providers-short/"+kind), s.path("plugins/tokenkeeper-provider-"+kind)); err != nil {
			t.Fatal(err)
		}
	}
	install("mybroker")
	install("daily")
	install("device")
	install("mints")
	install("session")
	says := func(stdin string, code int, wants []string, args ...string) {
		t.Helper()
		got := s.tool(t, stdin, args...)
		text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		for _, want := range wants {
			if got.code != code || !strings.Contains(text, want) {
				t.Errorf("%v: %q is not there: %+v", args, want, got)
			}
		}
	}
	alone := func(access string) string { return fmt.Sprintf(`{"access_token": %q, "expires_in": 3600}`, access) }
	if err := filestest.WriteProgram(s.path("plugins/tokenkeeper-provider-renews"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	says(alone("R"), exitFailure, []string{"provider renews could not be asked", "holds no refresh token, and its provider, which may do without one"}, "import", "renews", "-")
	if err := os.Remove(s.path("plugins/tokenkeeper-provider-renews")); err != nil { // go build replaces no script
		t.Fatal(err)
	}
	install("renews")

	says("", exitOK, []string{
		"daily daily by hand files", "mybroker mybroker refreshed 5m before expiry files", "renews renews renewed 15m before expiry files",
	}, "check")
	for _, a := range decode[report](t, s.tool(t, "", "check", "--json").stdout).Accounts {
		if want := map[string]string{"daily": "login", "device": "refresh", "mints": "mint", "mybroker": "refresh", "renews": "renew", "session": "login"}[a.Name]; a.Way != want {
			t.Errorf("check --json: %+v", a)
		}
	}

	says(alone("M"), exitFailure, []string{"the file holds no refresh token, so nothing could be kept alive with it"}, "import", "mybroker", "-")
	says(`{"access_token": "M", "refresh_token": "refresh of M", "expires_in": 3600}`, exitOK, []string{"mybroker: imported as v1"}, "import", "mybroker", "-")
	says(alone("R"), exitOK, []string{"renews: imported as v1", "refresh token none: the access token renews itself while it lives"}, "import", "renews", "-")
	says(alone("D"), exitOK, []string{"daily: imported as v1", "refresh token none: the next token comes from a login"}, "import", "daily", "-")

	says(alone("S"), exitOK, []string{"session: imported as v1"}, "import", "session", "-")

	r := startRun(t, s)
	r.until(func(st control.Status) bool {
		for _, kind := range kinds {
			if provider(st, kind).State != control.ProviderRunning {
				return false
			}
		}
		return true
	})
	says("", exitOK, []string{"https://login.example/device", "WDJB-MJHT", "device: logged in as v1"}, "login", "device")
	for kind, did := range map[string]string{"device": "refreshed", "mybroker": "refreshed", "renews": "renewed"} {
		says("", exitOK, []string{kind + ": " + did + ": v2"}, "refresh", kind, "--force")
	}
	says("", exitFailure, []string{"this broker's tokens come from a login alone"}, "refresh", "daily", "--force")
	got := s.tool(t, "", "login", "daily")
	_, address, _ := strings.Cut(got.stderr, "\n\n  ")
	address, _, _ = strings.Cut(address, "\n")
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("state") == "" {
		t.Fatalf("the login's address: %+v", got)
	}
	says("https://127.0.0.1:8182/?code=C&state="+url.QueryEscape(u.Query().Get("state"))+"\n", exitOK,
		[]string{"daily: logged in as v2", "refresh token none: the next token comes from a login"}, "login", "daily")
	says("", exitOK, []string{"none: by hand", "none: renewed", "a renewal ends the access token that consumers hold"}, "status")
	st := r.until(func(st control.Status) bool {
		for _, kind := range kinds {
			version := map[bool]uint64{true: 1, false: 2}[kind == "session" || kind == "mints"] // which have their first one
			if a := account(st, kind); a.Version != version || a.State != control.AccountValid || len(a.Sinks) != 1 || a.Sinks[0].Version != version {
				return false
			}
		}
		return true
	})
	if a := account(st, "mybroker"); time.Until(a.Expiry) < 16*time.Minute || time.Until(a.Expiry) > 20*time.Minute || !a.ExpiryUncertain {
		t.Errorf("an answer without a lifetime expires %s (uncertain %t), and the provider's policy says 20m", time.Until(a.Expiry), a.ExpiryUncertain)
	}
	r.until(func(st control.Status) bool {
		s := account(st, "session").Session
		return s != nil && s.Life == "alive"
	})
	for kind, want := range map[string]string{"daily": control.WayLogin, "session": control.WayLogin, "mints": control.WayMint, "device": control.WayRefresh, "mybroker": control.WayRefresh, "renews": control.WayRenew} {
		if a := account(st, kind); a.Way != want {
			t.Errorf("%s goes on by %q", kind, a.Way)
		}
		body, err := os.ReadFile(s.path(kind + ".json"))
		if err != nil || !strings.Contains(string(body), `"`+sim.newest(kind)+`"`) {
			t.Errorf("the file of %s does not hold the broker's newest token: %v", kind, err)
		}
	}
	stop(t, s, r)
}
