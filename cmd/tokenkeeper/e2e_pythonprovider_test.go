package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

func pythonProvider(t *testing.T) string {
	t.Helper()
	return pythonExample(t, "provider-python", "tokenkeeper-provider-python-broker")
}

// TestPythonProviderKeepsTheContract runs the suite of providers with one that is not
// in Go, by its program alone.
func TestPythonProviderKeepsTheContract(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	providertest.Run(t, providertest.Suite{
		Program: []string{pythonProvider(t)},
		Account: sdk.Account{ClientID: "app", ClientSecret: sdk.NewSecret("secret"), RedirectURL: "https://127.0.0.1"},
	})
}

// lateScript looks a host name up for longer than an attempt has: nothing may leave then.
const lateScript = `
import socket, sys, types
sys.path.insert(0, sys.argv[1])
import tokenkeeper_provider as p

now = 1000.0
p.time = types.SimpleNamespace(monotonic=lambda: now)
look_up = socket.getaddrinfo
def slowly(*args):
    global now
    now += 60
    return look_up(*args)
socket.getaddrinfo = slowly
sent = []
try:
    p._send("main", p.Post(sys.argv[2], {"grant_type": "refresh_token"}), now + 30, lambda: sent.append(True), sent)
    print("an answer came")
except p.Failure as failure:
    print(failure.kind, failure)
`

// TestPythonProviderSendsNothingLate: an attempt whose deadline passed before its
// connection stood sends nothing: the supervisor may have begun another one.
func TestPythonProviderSendsNothingLate(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	lib := filepath.Dir(pythonProvider(t))
	var requests atomic.Int32
	broker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(broker.Close)
	out, err := exec.CommandContext(t.Context(), python3, "-c", lateScript, lib, broker.URL).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "not_sent account main: nothing was sent to ") || requests.Load() != 0 {
		t.Errorf("%v, %d requests: %s", err, requests.Load(), out)
	}
}

// TestPythonProvider installs the example the way its README says: its tokens are
// refreshed and delivered, also after its death; what a broker answered after the death
// of the supervisor is not lost; and what nobody can read, and a refusal, are told as
// what they are.
func TestPythonProvider(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	program := pythonProvider(t)
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	account1 := strings.Replace(accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"), "provider: saxo", "provider: python-broker", 1)
	s.configure(t, "accounts:\n"+account1+fmt.Sprintf("providers:\n  python-broker: {command: [%q]}\n", program)+filesYAML)
	if got := s.tool(t, "", "check"); got.code != exitOK {
		t.Fatalf("check: %+v", got)
	}
	found := decode[foundPlugins](t, s.tool(t, "", "plugins", "--json").stdout).Plugins
	if !slices.ContainsFunc(found, func(p plugin) bool {
		return p.Name == "python-broker" && p.Version == "1.0.0" && p.Error == "" && p.Login && p.Protocol == sdk.ProtocolVersion
	}) {
		t.Errorf("plugins names %+v", found)
	}

	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	process := r.providerProcess("python-broker")
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 2)
	s.mustHold(t, saxo, saxoAccount)

	process.kill()
	r.until(func(st control.Status) bool {
		p := provider(st, "python-broker")
		return p.State == control.ProviderRunning && p.PID != process.pid
	})
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 3)
	s.mustHold(t, saxo, saxoAccount)

	gate := saxo.HoldNextAnswer(saxoAccount)
	outcome := r.forceRefresh(saxoAccount)
	came(t, gate.Entered, "the request")
	r.Kill()
	<-outcome
	gate.Release()
	s.awaitGone(t) // it has heard the answer out
	posts := saxo.Account(saxoAccount).Posts
	r = startRun(t, s)
	r.delivered(saxoAccount, 4)
	s.mustHold(t, saxo, saxoAccount)
	if now := saxo.Account(saxoAccount).Posts; now != posts || len(saxo.Reused()) > 0 {
		t.Errorf("the broker was asked %d times after the answer, and %v were used twice", now-posts, saxo.Reused())
	}

	// Its spool is one that the command can read.
	saxo.Inject(brokersim.Garbage().At(brokersim.AfterProcessing))
	if err := <-r.forceRefresh(saxoAccount); err == nil {
		t.Error("a refresh whose answer nobody can read has succeeded")
	}
	r.until(func(st control.Status) bool { return account(st, saxoAccount).Unread != "" })
	if got := s.tool(t, "", "spool"); !strings.Contains(got.stdout, "refresh of account "+saxoAccount+", version 4") || !strings.Contains(got.stdout, "HTTP 200") {
		t.Errorf("spool: %+v", got)
	}

	saxo.Revoke(saxoAccount)
	if err := <-r.forceRefresh(saxoAccount); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a refresh of a login that is over: %v", err)
	}
	r.until(func(st control.Status) bool { return account(st, saxoAccount).State == control.AccountNeedsLogin })
	if took := r.Stop(); took > 5 {
		t.Errorf("SIGTERM took %d beats", took)
	}
	s.awaitGone(t)
	if left, _ := filepath.Glob(s.path("tokenkeeper-*")); len(left) > 0 { // in TMPDIR, by check and plugins
		t.Errorf("there is left: %v", left)
	}
}
