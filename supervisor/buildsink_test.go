package supervisor

import (
	"bufio"
	"context"
	"errors"
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
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// configOf loads a configuration of one account with one sink.
func configOf(t *testing.T, dir, yaml string) *config.Config {
	t.Helper()
	text := "state_dir: state\nplugins: {dir: plugins}\naccounts:\n  main: {provider: schwab, client_id: id}\nsinks:\n  s: {" + yaml + "}\n"
	cfg, _, err := config.Load(config.Source{Bytes: []byte(text), Name: "test.yaml", Dir: dir, Sinks: types.Config(), Environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// destination is the one sink of a configuration.
func destination(t *testing.T, cfg *config.Config) (sink.Sink, sink.RetryPolicy, error) {
	t.Helper()
	return builder{&Supervisor{opts: Options{Config: cfg}}, roster.Nobody(cfg)}.newSink(cfg.Sinks["s"])
}

func delivery(version uint64) sink.Delivery {
	return sink.Delivery{ID: fmt.Sprint("id-", version), Version: version, Document: format.Document{
		Account: "main", Provider: "schwab", Version: version, AccessToken: sdk.NewSecret(fmt.Sprint("access-", version)),
		Expiry: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
	}}
}

// A try may take as long as the sink allows itself: the worker's limit comes
// later.
func TestEverySinkIsBuilt(t *testing.T) {
	dir, built := t.TempDir(), map[string]bool{}
	for yaml, timeout := range map[string]time.Duration{
		"type: file, path: f": 0,
		"type: file, path: f, format: env, signal: {pidfile: p}":                                     0,
		"type: file, path: f, format: template, template: '{{.AccessToken}}', timezone: Asia/Tokyo":  0,
		"type: unixsocket, path: s, timeout: 90s":                                                    90 * time.Second,
		"type: unixsocket, path: s, timeout: 90s, format: raw":                                       90 * time.Second,
		"type: unixsocket, path: s, timeout: 90s, direction: listen, events: [token, alert]":         180 * time.Second,
		"type: webhook, url: 'https://x', timeout: 90s, events: [token, alert, lifecycle]":           90 * time.Second,
		"type: webhook, url: 'https://x', timeout: 90s, format: saxo-cache, proxy: none, ca_file: c": 90 * time.Second,
		"type: exec, command: [x], timeout: 90s, format: schwab":                                     90 * time.Second,
		"type: exec, signal: {pidfile: p}":                                                           10 * time.Second,
		"type: notify, urls: ['ntfy://ntfy.sh/topic'], timeout: 90s":                                 90 * time.Second,
		"type: other, command: [/bin/true], timeout: 90s, settings: {a: b}":                          90 * time.Second,
	} {
		cfg := configOf(t, dir, yaml)
		built[cfg.Sinks["s"].Type] = true
		d, policy, err := destination(t, cfg)
		if err != nil || policy.Timeout <= timeout && timeout > 0 {
			t.Errorf("%s: %v, a try may take %s", yaml, err, policy.Timeout)
			continue
		}
		kinds := make([]sink.Kind, 0, len(cfg.Sinks["s"].Events))
		for _, k := range cfg.Sinks["s"].Events {
			kinds = append(kinds, sink.Kind(k))
		}
		// What config lets through, the engine must take.
		if err := sink.CheckWorker(sink.WorkerConfig{Name: "s", Sink: d, Kinds: kinds, Alerts: noAlerts{}}); err != nil {
			t.Errorf("%s: %v", yaml, err)
		}
	}
	for _, typ := range types.BuiltIn() {
		if !built[typ.Name()] {
			t.Errorf("no sink of type %s is built: add one to the table", typ.Name())
		}
	}
}

type noAlerts struct{ sink.AlertSource }

func TestFormatReachesTheFile(t *testing.T) {
	dir := t.TempDir()
	for yaml, want := range map[string]string{
		"format: raw":     "access-1",
		"format: message": `{"access_token":"access-1","expires_at":1782907200}`,
		"format: template, template: '{{.Expiry | date \"15:04\"}}', timezone: Asia/Tokyo": "21:00",
	} {
		d, _, err := destination(t, configOf(t, dir, "type: file, path: f, "+yaml))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Deliver(t.Context(), delivery(1)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(got) != want {
			t.Errorf("%s wrote %q, %v; want %q", yaml, got, err, want)
		}
	}
}

// A webhook with a format posts what the format writes, and says what it is.
func TestFormatReachesTheWebhook(t *testing.T) {
	var contentType, body string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		contentType, body = r.Header.Get("Content-Type"), string(b)
	}))
	t.Cleanup(receiver.Close)
	for yaml, want := range map[string][2]string{
		"format: raw":     {"text/plain; charset=utf-8", "access-1"},
		"format: message": {"application/json", `{"access_token":"access-1","expires_at":1782907200}`},
		"format: template, template: '{\"t\": {{.AccessToken | json}}}', headers: {content-type: application/json}": {"application/json", `{"t": "access-1"}`},
	} {
		d, _, err := destination(t, configOf(t, t.TempDir(), "type: webhook, url: '"+receiver.URL+"', proxy: none, "+yaml))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Deliver(t.Context(), delivery(1)); err != nil || contentType != want[0] || body != want[1] {
			t.Errorf("%s posted %q as %s, %v; want %q", yaml, body, contentType, err, want)
		}
	}
}

// The program that is signalled finds the token that it is signalled for.
func TestFileIsWrittenBeforeItsSignal(t *testing.T) {
	dir := t.TempDir()
	// A shell can't trap a signal that was ignored when it started, as by nohup.
	reader := exec.Command("env", "--default-signal=HUP", "sh", "-c", `trap 'cat "$0/f"; echo' HUP; echo ready; while :; do read x; done`, dir)
	out, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Process.Kill(); _ = reader.Wait() })
	lines := bufio.NewScanner(out)
	lines.Scan() // ready

	d, _, err := destination(t, configOf(t, dir, "type: file, path: f, format: raw, signal: {pidfile: pid}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.(sink.Tester); !ok {
		t.Error("with a signal, a file sink can't be tested any more")
	}
	// Nobody there: the file counts.
	if err := d.Deliver(t.Context(), delivery(1)); err != nil {
		t.Errorf("without a pidfile: %v", err)
	}
	pid := filepath.Join(dir, "pid")
	if err := os.WriteFile(pid, fmt.Append(nil, reader.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	for v := uint64(2); v < 5; v++ {
		if err := d.Deliver(t.Context(), delivery(v)); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || lines.Text() != fmt.Sprint("access-", v) {
			t.Fatalf("the reader found %q after version %d: %v", lines.Text(), v, lines.Err())
		}
	}
	// A signal that can't be sent is tried again; the file is there already.
	if err := os.WriteFile(pid, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = d.Deliver(t.Context(), delivery(5))
	if err == nil || !strings.Contains(err.Error(), "the file is written, but") {
		t.Errorf("with a bad pidfile: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(got) != "access-5" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Deliver(ended, delivery(6)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
