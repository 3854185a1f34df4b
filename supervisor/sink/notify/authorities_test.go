package notify_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// The machine's authorities may come after the first message, whoever makes the
// connection.
func TestServicesAuthoritiesThatComeLater(t *testing.T) {
	const child = "TOKENKEEPER_TEST_AUTHORITIES"
	if os.Getenv(child) == "" {
		empty := t.TempDir()
		again := exec.Command(os.Args[0], "-test.run=^TestServicesAuthoritiesThatComeLater$", "-test.v")
		again.Env = append(os.Environ(), child+"=1", "SSL_CERT_DIR="+empty, "SSL_CERT_FILE="+filepath.Join(empty, "later.pem"))
		if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	host := strings.TrimPrefix(s.URL, "https://")
	urls := []string{"ntfy://" + host + "/topic", "generic://" + host + "/hook", "mattermost://" + host + "/token"}
	for _, url := range urls {
		if err := newSink(t, url).Notify(t.Context(), needsLogin(event.AlertRaised)); err == nil {
			t.Error("told without authorities: " + url)
		}
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		if err := newSink(t, url).Notify(t.Context(), needsLogin(event.AlertRaised)); err != nil {
			t.Errorf("with the authorities there: %s: %v", url, err)
		}
	}
}
