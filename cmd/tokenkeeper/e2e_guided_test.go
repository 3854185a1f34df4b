package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// guidedBroker gives device codes (RFC 8628), and takes each refresh token once.
type guidedBroker struct {
	mu       sync.Mutex
	refresh  string   // the one that works
	verdict  string   // of the person; "": none yet
	begun    int      // device codes
	polls    []string // the device codes that came
	heard    chan struct{}
	spent    []string // refresh tokens that came
	sequence int
}

func (b *guidedBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	say := func(status int, body map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	issue := func() {
		b.sequence++
		b.refresh = fmt.Sprintf("refresh-canary-%d", b.sequence)
		say(http.StatusOK, map[string]any{"access_token": fmt.Sprintf("access-canary-%d", b.sequence), "refresh_token": b.refresh, "expires_in": 3600, "token_type": "Bearer"})
	}
	switch code := r.FormValue("device_code"); {
	case r.URL.Path == "/device":
		b.begun++
		say(http.StatusOK, map[string]any{
			"device_code": fmt.Sprintf("device-canary-%d", b.begun), "user_code": "WDJB-MJHT", "verification_uri": "https://broker.example/device",
			"expires_in": 600, "interval": 1,
		})
	case code != "":
		b.polls = append(b.polls, code)
		select {
		case b.heard <- struct{}{}:
		default:
		}
		if b.verdict == "approved" {
			issue()
			return
		}
		say(http.StatusBadRequest, map[string]any{"error": map[bool]string{true: "authorization_pending", false: b.verdict}[b.verdict == ""]})
	default:
		token := r.FormValue("refresh_token")
		b.spent = append(b.spent, token)
		if token != b.refresh {
			say(http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		issue()
	}
}

func (b *guidedBroker) decide(verdict string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.verdict = verdict
}

// TestGuidedLogins logs in at a plugin that guides its logins, as a user does: with
// what the broker has posted, with a pasted token, then by a code on another device, while the supervisor dies between
// two polls.
func TestGuidedLogins(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	sim := &guidedBroker{refresh: "pasted-canary", heard: make(chan struct{}, 1)}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	s := newSite(t, fmt.Sprintf("plugins: {dir: plugins}\naccounts:\n  desk: {provider: guided, client_id: app, settings: {broker: %q}}\n"+
		"sinks:\n  files: {type: file, path: '{account}.json', include_refresh_token: true}\n", server.URL))
	if err := goBuild(filepath.Join("testdata", "provider-guided"), s.path("plugins/tokenkeeper-provider-guided")); err != nil {
		t.Fatal(err)
	}
	r := startRun(t, s)
	running := func(st control.Status) bool { return provider(st, "guided").State == control.ProviderRunning }
	r.until(running)
	var said strings.Builder
	login := func(stdin string, args ...string) result {
		t.Helper()
		got := s.tool(t, stdin, append([]string{"login", "desk"}, args...)...)
		said.WriteString(got.stdout + got.stderr)
		return got
	}

	if got := login("", "--shape", "callback"); got.code != exitFailure || !strings.Contains(got.stderr, "no post was pasted") || !strings.Contains(got.stderr, "the login stays open until") {
		t.Errorf("a post that does not come: %+v", got)
	}
	for why, post := range map[string]string{"not sent": `{"client_id":"another","refresh_token":"pasted-canary"}`, "not taken": `{"client_id":"app","refresh_token":"forged-canary"}`} {
		if got := login(post, "--shape", "callback"); got.code != exitFailure || !strings.Contains(strings.Join(strings.Fields(got.stderr), " "), "what was handed in was "+why) {
			t.Errorf("a forged post: %+v", got)
		}
	}
	if got := login("{\n \"client_id\": \"app\",\n \"refresh_token\": \"pasted-canary\"\n}\n", "--shape", "callback"); got.code != exitOK || !strings.Contains(got.stdout, "desk: logged in as v1") {
		t.Fatalf("the post: %+v", got)
	}
	r.delivered("desk", 1)
	if got := login("no-such-canary\n", "--shape", "paste_token"); got.code != exitFailure || !strings.Contains(got.stderr, "the login failed, and the account is as it was; begin again with: tokenkeeper login desk") {
		t.Errorf("a wrong token: %+v", got)
	}
	if got := login("refresh-canary-1\n", "--shape", "paste_token"); got.code != exitOK || !strings.Contains(got.stdout, "desk: logged in as v2") || !strings.Contains(got.stderr, server.URL+"/apps") {
		t.Fatalf("a pasted token: %+v", got)
	}
	r.delivered("desk", 2)

	begun := decode[control.LoginAnswer](t, login("", "--no-wait", "--json").stdout)
	if begun.UserCode != "WDJB-MJHT" || begun.Address != "https://broker.example/device" || begun.Shape != "device" || !begun.Polled || begun.Until.IsZero() {
		t.Fatalf("begun: %+v", begun)
	}
	came(t, sim.heard, "a poll")
	st := r.until(func(st control.Status) bool { return account(st, "desk").Login != nil && !account(st, "desk").InFlight })
	if a := account(st, "desk"); a.State != control.AccountValid || a.Failures > 0 || len(st.Alerts) > 0 || a.Login.Shape != "device" {
		t.Errorf("while it is polled: %+v, %+v", a, st.Alerts)
	}
	log := r.Stderr()
	r.Kill()
	r = startRun(t, s)
	r.until(running)
	if got := login("", "--no-wait", "--json"); !strings.Contains(got.stdout, `"earlier": true`) || !strings.Contains(got.stdout, begun.ID) {
		t.Errorf("after the supervisor's death: %+v", got)
	}
	came(t, sim.heard, "a poll of the next supervisor")
	// Joined before it is approved: asked for afterwards, another would be begun.
	shown := newAwaited()
	joined := s.command(t.Context(), "", "login", "desk")
	joined.Stdout, joined.Stderr = shown, shown
	if err := joined.Start(); err != nil {
		t.Fatal(err)
	}
	shown.until(t, func(text string) bool { return strings.Contains(text, begun.UserCode) })
	sim.decide("approved")
	err := joined.Wait()
	said.WriteString(shown.String())
	if err != nil || !strings.Contains(shown.String(), "desk: logged in as v3") {
		t.Fatalf("approved: %v\n%s", err, shown)
	}
	r.delivered("desk", 3)

	done := make(chan result, 1)
	sim.decide("")
	go func() { done <- s.tool(t, "", "login", "desk") }()
	came(t, sim.heard, "a poll of the next login")
	sim.decide("access_denied")
	got := <-done
	said.WriteString(got.stdout + got.stderr)
	if got.code != exitFailure || !strings.Contains(got.stderr, "the login was declined at the broker; begin again with: tokenkeeper login desk") || !strings.Contains(got.stderr, "WDJB-MJHT") {
		t.Errorf("declined: %+v", got)
	}
	if _, err := r.Client.CompleteLogin(t.Context(), "desk", "late-canary"); err == nil || !strings.Contains(err.Error(), "No login is open") {
		t.Errorf("handed in for a login that is over: %v", err)
	}
	if got := s.tool(t, "", "refresh", "desk", "--force"); got.code != exitOK || !strings.Contains(got.stdout, "v4") {
		t.Errorf("the login that there was: %+v", got)
	}

	sim.mu.Lock()
	if codes := slices.Compact(slices.Clone(sim.polls)); !slices.Equal(codes, []string{"device-canary-1", "device-canary-2"}) || len(sim.polls) < 3 {
		t.Errorf("polled with %v", sim.polls)
	}
	if !slices.Equal(sim.spent, []string{"forged-canary", "pasted-canary", "no-such-canary", "refresh-canary-1", "refresh-canary-3"}) {
		t.Errorf("refresh tokens that came: %v", sim.spent)
	}
	sim.mu.Unlock()
	if said := said.String() + log + r.Stderr(); strings.Contains(said, "canary") {
		t.Errorf("a secret was told:\n%s", said)
	}
	stop(t, s, r)
}
