package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
)

// asked is what somebody is answered who has that token.
func asked(t *testing.T, client *http.Client, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// freeAddress is one on which nobody listens now, nor until the supervisor does: it is
// of this process alone.
func freeAddress(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// Who has the token reads metrics and health over TCP, no secret among them; the others
// get nothing, and the port is for one supervisor.
func TestMetricsOverTCP(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const token = canaryWord + "-of-the-monitoring"
	schwab, saxo := startBrokers(t, time.Hour)
	address := freeAddress(t)
	s := newSite(t, "metrics: {listen: \""+address+"\", token: \"${env:METRICS_TOKEN}\"}\n"+bothYAML(schwab, saxo, "before_expiry: 5m"))
	s.env = []string{"METRICS_TOKEN=" + token}
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	if got := s.tool(t, "", "check"); got.code != exitOK {
		t.Errorf("check: %+v", got)
	}
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	at := func(path string) string { return "http://" + address + path }

	if status, body := asked(t, http.DefaultClient, at("/metrics"), token); status != http.StatusOK || !strings.Contains(body, "\ntokenkeeper_account_valid{account=\""+saxoAccount+"\",provider=\"saxo\"} 1\n") ||
		strings.Contains(body, canaryWord) || strings.Contains(body, saxo.Config().ClientSecret) {
		t.Errorf("metrics: %d\n%s", status, body)
	}
	if status, body := asked(t, http.DefaultClient, at("/healthz"), token); status != http.StatusOK || body != "ok\n" {
		t.Errorf("health: %d %s", status, body)
	}
	waittest.Until(t, "a supervisor that waits for a person alone", func() bool {
		status, body := asked(t, http.DefaultClient, at("/readyz"), token)
		return status == http.StatusServiceUnavailable && body == schwabAccount+" new: log in with: tokenkeeper login "+schwabAccount+
			", or take one from a token file with: tokenkeeper import "+schwabAccount+" FILE\n"
	})
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	if status, body := asked(t, http.DefaultClient, at("/readyz"), token); status != http.StatusOK || body != "ok\n" {
		t.Errorf("when somebody has logged in: %d %s", status, body)
	}
	for _, other := range []string{"", token + "x"} {
		if status, body := asked(t, http.DefaultClient, at("/readyz"), other); status != http.StatusUnauthorized || strings.Contains(body, token) {
			t.Errorf("with the token %q: %d %s", other, status, body)
		}
	}
	if status, _ := asked(t, http.DefaultClient, at("/v1/accounts/"+saxoAccount+"/token"), token); status != http.StatusNotFound {
		t.Errorf("a token over TCP: %d", status)
	}

	if got := s.tool(t, "", "check"); got.code != exitOK { // its own port
		t.Errorf("check while it runs: %+v", got)
	}
	other := newSite(t, "metrics: {listen: \""+address+"\"}\n"+bothYAML(schwab, saxo, "before_expiry: 5m"))
	const taken = "already: end it (ss -ltnp says which it is), or write another port"
	for _, verb := range []string{"check", "run"} {
		got := other.tool(t, "", verb)
		if said := strings.Join(strings.Fields(got.stdout+got.stderr), " "); got.code == exitOK || !strings.Contains(said, "metrics.listen: another program listens on "+address+" "+taken) {
			t.Errorf("%s of another supervisor: %+v", verb, got)
		}
	}
	r.Stop()
	if strings.Contains(r.Stderr(), canaryWord) {
		t.Errorf("a secret in the log:\n%s", r.Stderr())
	}
}

// TestReadmeMonitorsWithCurl types what supervisor/metrics/README.md shows.
func TestReadmeMonitorsWithCurl(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, "curl")
	schwab, saxo := startBrokers(t, time.Hour)
	address := freeAddress(t)
	s := newSite(t, "metrics: {listen: \""+address+"\"}\n"+bothYAML(schwab, saxo, "before_expiry: 5m"))
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	waittest.Until(t, "a supervisor that is ready", func() bool {
		status, _ := asked(t, http.DefaultClient, "http://"+address+"/readyz", "")
		return status == http.StatusOK
	})
	lines := 0
	for _, block := range fenced(t, filepath.Join(repository, "supervisor", "metrics", "README.md"), "sh") {
		for line := range strings.Lines(block) {
			lines++
			cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.NewReplacer("127.0.0.1:9464", address, "curl ", "curl --silent --show-error --fail ").Replace(line))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", strings.TrimSpace(line), err, out)
			}
		}
	}
	if lines < 3 {
		t.Errorf("only %d lines were typed", lines)
	}
	r.Stop()
}

// lateLauncher has no process before it may.
type lateLauncher struct{ may chan struct{} }

func (l lateLauncher) Launch(ctx context.Context) (process.Instance, error) {
	select {
	case <-l.may:
	case <-ctx.Done():
	}
	return absent{}.Launch(ctx)
}

// A provider that has not answered since the start keeps the supervisor from being ready,
// and not from being alive; one that is parked, as the start has ended so, does not.
func TestProbesAtAStart(t *testing.T) {
	w := newWorld(t, "accounts: {a: {provider: saxo, client_id: id}}\n")
	var stdout, stderr bytes.Buffer
	cfg, _, err := config.Load(testEnv("", &stdout, &stderr).source(w.config))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Control.Socket = filepath.Join(t.TempDir(), "s")
	may := make(chan struct{})
	s, err := supervisor.New(t.Context(), supervisor.Options{
		Config: cfg, Version: "test", Log: slog.New(slog.DiscardHandler), Builtin: builtinCommand,
		Seams: supervisor.Seams{Launcher: func(string) process.Launcher { return lateLauncher{may} }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", cfg.Control.Socket)
	}}}
	const late = "provider saxo has not answered yet\n"
	if status, body := asked(t, client, "http://localhost/readyz", ""); status != http.StatusServiceUnavailable || !strings.HasPrefix(body, late) {
		t.Errorf("before it answers: %d %s", status, body)
	}
	if status, body := asked(t, client, "http://localhost/healthz", ""); status != http.StatusOK {
		t.Errorf("before it answers: %d %s", status, body)
	}
	close(may)
	waittest.Until(t, "a start that is over", func() bool {
		status, body := asked(t, client, "http://localhost/readyz", "")
		return status == http.StatusServiceUnavailable && strings.HasPrefix(body, "a new: ")
	})
	cancel()
	waittest.Receive(t, "the supervisor ends", ended)
}
