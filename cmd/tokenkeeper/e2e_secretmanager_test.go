package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// What a service did that refreshes a Saxo token and keeps it in a file and in
// the Secret Manager: the secret has the newest token in one live version, with
// the keys of other programs. And what it could not: when the machine is lost,
// the token comes back from there.
func TestSecretManagerKeepsTheTokenOfALostMachine(t *testing.T) {
	t.Parallel()
	const secret = "saxo-token"
	google := secretmanagertest.New()
	google.Put(secret, `{"app_key": "the key", "note": "kept by hand", "access_token": "old", "refresh_token": "older"}`)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Serve(listener))
	sinkProgram := filepath.Join(t.TempDir(), "tokenkeeper-sink-gcp-secret-manager")
	if err := goBuild("../tokenkeeper-sink-gcp-secret-manager", sinkProgram); err != nil {
		t.Fatal(err)
	}
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "every: 5m")+fmt.Sprintf(`sinks:
  file: {type: file, path: saxo.json, format: saxo-cache, include_refresh_token: true}
  cloud:
    type: gcp-secret-manager
    command: [%q]
    format: saxo-cache
    include_refresh_token: true
    settings: {project: %s, secret: %s, endpoint: "%s", insecure: true}
`, sinkProgram, secretmanagertest.Project, secret, listener.Addr()))
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	first := startRun(t, s)
	for range 3 {
		first.refreshed(saxoAccount)
	}
	first.delivered(saxoAccount, 4)
	mustBeInTheSecret := func(when string) {
		t.Helper()
		versions, live := google.Versions(secret), google.Enabled(secret)
		if len(live) != 1 || live[0] != len(versions) {
			t.Errorf("%s: of %d versions these are live: %v", when, len(versions), live)
		}
		var document map[string]string
		if err := json.Unmarshal([]byte(versions[len(versions)-1].Payload), &document); err != nil {
			t.Fatal(err)
		}
		now, _ := saxo.Current(saxoAccount)
		if document["access_token"] != now.AccessToken || document["refresh_token"] != now.RefreshToken || document["note"] != "kept by hand" {
			t.Errorf("%s: the secret does not hold the newest token beside what others keep there", when)
		}
	}
	mustBeInTheSecret("after three refreshes")
	first.Stop()
	s.awaitGone(t)

	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}
	second := startRun(t, s)
	second.until(func(st control.Status) bool { return account(st, saxoAccount).State == control.AccountValid })
	second.refreshed(saxoAccount)
	second.delivered(saxoAccount, 2)
	mustBeInTheSecret("on a new machine")
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("a refresh token was used twice: %v", reused)
	}
	second.Stop()
	s.awaitGone(t)
}
