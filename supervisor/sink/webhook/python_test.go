package webhook_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// python is a receiver in Python that verifies with the specification's own
// library.
type python struct {
	url  string
	told *bufio.Scanner
}

func startPython(t *testing.T) *python {
	t.Helper()
	interpreter, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 (Debian: python3)")
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/standard-webhooks/standard-webhooks/libraries").Output()
	library := filepath.Join(strings.TrimSpace(string(out)), "python")
	if _, missing := os.Stat(library); err != nil || missing != nil {
		t.Skipf("the specification's library is not at hand: %v, %v", err, missing)
	}
	// Else the interpreter would write beside the modules, which are read-only.
	env := append(os.Environ(), "PYTHONPATH="+library, "PYTHONDONTWRITEBYTECODE=1")
	look := exec.Command(interpreter, "-c", "import standardwebhooks.webhooks")
	look.Env = env
	if out, err := look.CombinedOutput(); err != nil {
		t.Skipf("python3 can't load the specification's library (Debian: python3 with its standard library, and python3-deprecated for old editions): %s", out)
	}
	cmd := exec.Command(interpreter, "testdata/receiver.py")
	cmd.Env, cmd.Stderr = env, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	})
	if _, err := fmt.Fprintln(stdin, secret); err != nil {
		t.Fatal(err)
	}
	p := &python{told: bufio.NewScanner(stdout)}
	if !p.told.Scan() {
		t.Fatal("the receiver did not say its port")
	}
	p.url = "http://127.0.0.1:" + p.told.Text() + "/token"
	return p
}

// says returns what the receiver says of the next message.
func (p *python) says(t *testing.T) (m struct {
	Payload map[string]any
	Refused string
}) {
	t.Helper()
	if !p.told.Scan() {
		t.Fatal("the receiver said nothing")
	}
	if err := json.Unmarshal(p.told.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// forger passes requests on with a change on the way.
func forger(t *testing.T, to string, change func(body []byte, h http.Header) []byte) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		body = change(body, req.Header)
		on, err := http.NewRequestWithContext(req.Context(), http.MethodPost, to, bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		on.Header = req.Header.Clone()
		resp, err := http.DefaultClient.Do(on)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		_ = resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestTheSpecificationsOwnLibraryVerifies(t *testing.T) {
	p := startPython(t)
	s := newSink(t, webhook.Config{URL: p.url, Secret: sdk.NewSecret(secret)})
	d := sinktest.Full("acct", 7)

	if err := s.Deliver(t.Context(), d); err != nil {
		t.Errorf("a token: %v", err)
	}
	got := p.says(t).Payload
	if data, _ := got["data"].(map[string]any); got["type"] != webhook.EventType || data["access_token"] != d.Document.AccessToken.Reveal() || data["version"] != 7.0 {
		t.Errorf("it took %v", got)
	}
	for want, notice := range map[string]sink.Notice{"alert.needs_login": sinktest.Alert("acct", 1), "lifecycle.refreshed": sinktest.Lifecycle("acct", 1)} {
		if err := s.Notify(t.Context(), notice); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if got := p.says(t).Payload; got["type"] != want {
			t.Errorf("it took %v, want %s", got, want)
		}
	}
	if done, err := s.Test(t.Context(), d); err != nil || !strings.Contains(done, "answered 204") {
		t.Errorf("a test: %s, %v", done, err)
	}
	if got := p.says(t).Payload; got["type"] != webhook.TypeTest {
		t.Errorf("it took %v", got)
	}
	own := newSink(t, webhook.Config{URL: p.url, Secret: sdk.NewSecret(secret), ContentType: "application/json", Encode: func(d format.Document) ([]byte, error) {
		return fmt.Appendf(nil, "{\n \"bearer\": %q}\n", d.AccessToken.Reveal()), nil
	}})
	if err := own.Deliver(t.Context(), d); err != nil {
		t.Errorf("a body of our own: %v", err)
	}
	if got := p.says(t).Payload; got["bearer"] != d.Document.AccessToken.Reveal() {
		t.Errorf("it took %v", got)
	}
}

func TestTheSpecificationsOwnLibraryRefuses(t *testing.T) {
	p := startPython(t)
	unchanged := func(body []byte, _ http.Header) []byte { return body }
	for _, c := range []struct {
		name   string
		secret string
		now    time.Duration // by how much our clock is wrong
		change func([]byte, http.Header) []byte
		taken  bool
	}{
		{name: "nothing changed", secret: secret, change: unchanged, taken: true},
		{name: "wrong secret", secret: "whsec_" + strings.Repeat("QUJD", 8), change: unchanged},
		{name: "no secret", change: unchanged},
		{name: "changed body", secret: secret, change: func(body []byte, _ http.Header) []byte {
			return bytes.Replace(body, []byte("CANARY"), []byte("canary"), 1)
		}},
		{name: "longer body", secret: secret, change: func(body []byte, _ http.Header) []byte { return append(body, ' ') }},
		{name: "changed id", secret: secret, change: func(body []byte, h http.Header) []byte {
			h.Set("webhook-id", "msg_other")
			return body
		}},
		{name: "a clock that is late", secret: secret, now: -6 * time.Minute, change: unchanged},
		{name: "a clock that is early", secret: secret, now: 6 * time.Minute, change: unchanged},
	} {
		s := newSink(t, webhook.Config{
			URL: forger(t, p.url, c.change), Secret: sdk.NewSecret(c.secret),
			Now: func() time.Time { return time.Now().Add(c.now) },
		})
		err := s.Deliver(t.Context(), sinktest.Full("acct", 1))
		said := p.says(t)
		if (err == nil) != c.taken || (said.Refused == "") != c.taken {
			t.Errorf("%s: %v; the receiver says %q", c.name, err, said.Refused)
		}
		if !c.taken && !strings.Contains(fmt.Sprint(err), "401") {
			t.Errorf("%s: %v", c.name, err)
		}
		sinktest.AssertNoSecret(t, err)
	}
}
