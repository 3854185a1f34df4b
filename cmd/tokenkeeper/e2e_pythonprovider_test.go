package main

import (
	"fmt"
	"io"
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

// pythonParts calls the example's own parts, one case of TestPythonProviderByParts each.
const pythonParts = `
import os, socket, sys, tempfile, types
sys.path.insert(0, sys.argv[1])
import tokenkeeper_provider as p
import tokenkeeper_spool

now = 1000.0
p.time = types.SimpleNamespace(monotonic=lambda: now)

def send(url):
    sent = []
    try:
        answer = p._decode(p._send("main", p.Post(url, {"grant_type": "refresh_token"}), now + 30, lambda: sent.append(True), sent))
        print(answer.status, answer.body.decode(), answer.incomplete)
    except p.Failure as failure:
        print(failure.kind, failure)

def read(url):
    account = types.SimpleNamespace(name="main")
    for n in range(int(url.rpartition("#")[2])):
        sent = []
        answer = p._decode(p._send("main", p.Post("%s/%d" % (url.partition("#")[0], n), {}), now + 30, lambda: sent.append(True), sent))
        try:
            token = p.Provider().read(account, answer)
            print("token", token.access_token, token.refresh_token)
        except p.Failure as failure:
            print(failure.kind, failure.oauth_error, failure.retry_after, failure.unread)

def late(url):
    look_up = socket.getaddrinfo
    def slowly(*args):
        global now
        now += 60
        return look_up(*args)
    socket.getaddrinfo = slowly
    send(url)

def proxied(url):
    os.environ["http_proxy"] = "http://127.0.0.1:1"
    send(url)

def folder(_):
    with tempfile.TemporaryDirectory() as spool:
        os.mkdir(spool + "/slot-900")
        print(tokenkeeper_spool.Spool(spool, 1).unsettled())

def names(_):
    with tempfile.TemporaryDirectory() as folder:
        def name(slots=1):
            spool = tokenkeeper_spool.Spool(folder, slots)
            os.close(spool._own)
            return spool.id
        def slot(number=0):
            return folder + "/" + sorted(n for n in os.listdir(folder) if n.startswith("slot-"))[number]
        first = name()
        print(name() == first)
        os.unlink(slot())
        second = name()
        print(second == first, name() == second)
        with open(slot(), "r+b") as f:
            f.write(b"TKH1")
        third = name()
        print(third == second, name() == third)
        print(name(3) == third)
        os.unlink(slot(1))
        fourth = name(3)
        print(fourth == third, name(3) == fourth)
        os.unlink(slot(2))
        fifth = name(3)
        print(fifth == fourth, name(3) == fifth)
        os.unlink(folder + "/index")  # as in one of before
        print(name(3) == fifth)
        os.unlink(slot(2))
        print(name(3) == fifth)

def own(_):  # what the spool removes itself is missed by nobody
    with tempfile.TemporaryDirectory() as folder:
        def opened():
            return tokenkeeper_spool.Spool(folder, 2)
        def ended(spool):
            os.close(spool._own)
            return spool.id
        spool = opened()
        def attempt(name):
            return spool.begin(spool.id, {"attempt": name, "account": name, "kind": "refresh", "version": 1})[0]
        unread, moved, failed = attempt("unread"), attempt("moved"), attempt("failed")
        spool.record(unread, b"an answer")
        print(os.path.basename(spool.settle("unread", True)))
        def write(*_):
            raise OSError(5, "the disk fails")
        moved.write = write
        spool.record(moved, b"another one")
        spool.settle("moved", False)
        failed.clear = write
        spool.settle("failed", False)
        first = ended(spool)
        print(ended(opened()) == first)

def holds(texts):
    import json
    for text in json.loads(texts):
        print(p.Answer(200, (0, 0), "", 0, text.encode()).may_hold_token())

locals()[sys.argv[2]](sys.argv[3])
`

// TestPythonProviderByParts: nothing leaves after an attempt's deadline, when the
// supervisor may have begun another one, nor unencrypted to another machine, and what
// stays on this one goes by no proxy; as much of an answer as came is spooled; what is no
// slot keeps nobody from the spool; and one that may have lost an attempt is another one.
func TestPythonProviderByParts(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	lib := filepath.Dir(pythonProvider(t))
	var requests atomic.Int32
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // what nobody has read would reset the connection that is closed
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
		switch r.URL.Path {
		case "/cut":
			answer = strings.Replace(answer, "4", "400", 1)
		case "/chunk":
			answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n40\r\ndy"
		}
		_, _ = conn.Write([]byte(answer))
	}))
	t.Cleanup(broker.Close)
	tests := []struct {
		name, part, address, want string
		requests                  int32
	}{
		{"whole", "send", broker.URL, "200 body \n", 1},
		{"cut off", "send", broker.URL + "/cut", "200 body the connection was closed\n", 1},
		{"cut off in a chunk", "send", broker.URL + "/chunk", "200 body the connection was closed\n", 1},
		{"by no proxy", "proxied", broker.URL, "200 body \n", 1},
		{"too late", "late", broker.URL, "not_sent account main: nothing was sent to " + broker.Listener.Addr().String() + ": its time was over\n", 0},
		{"in the clear", "send", "http://192.0.2.1/token", "not_sent account main: nothing was sent: the address of the token endpoint must begin with https:// " +
			"(http:// is allowed to this machine alone); correct the configuration\n", 0},
		{"no slot", "folder", "", "[]\n", 0},
		{"another spool once slots are gone or damaged", "names", "", "True\nFalse True\nFalse True\nTrue\nFalse True\nFalse True\nTrue\nFalse\n", 0},
		{"the same spool after it has removed slots itself", "own", "", "unread-unread\nTrue\n", 0},
	}
	for _, tt := range tests {
		before := requests.Load()
		var stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), python3, "-c", pythonParts, lib, tt.part, tt.address)
		cmd.Stderr = &stderr
		if out, err := cmd.Output(); err != nil || string(out) != tt.want || requests.Load()-before != tt.requests {
			t.Errorf("%s: %v, %d requests: %q, want %q\n%s", tt.name, err, requests.Load()-before, out, tt.want, &stderr)
		}
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
	if took := r.Stop(); took > 10 {
		t.Errorf("SIGTERM took %d beats", took)
	}
	s.awaitGone(t)
	if left, _ := filepath.Glob(s.path("tokenkeeper-*")); len(left) > 0 { // in TMPDIR, by check and plugins
		t.Errorf("there is left: %v", left)
	}
}
