package webclient

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
	"time"
)

// The machine's authorities may come after the first request of a process, and of a Client.
func TestReceiversAuthoritiesThatComeLater(t *testing.T) {
	const child = "TOKENKEEPER_TEST_AUTHORITIES"
	if os.Getenv(child) == "" {
		empty := t.TempDir()
		again := exec.Command(os.Args[0], "-test.run=^TestReceiversAuthoritiesThatComeLater$", "-test.v")
		again.Env = append(os.Environ(), child+"=1", "SSL_CERT_DIR="+empty, "SSL_CERT_FILE="+filepath.Join(empty, "later.pem"))
		if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	clients := make([]*Client, 2)
	ask := func(c *Client) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	for i := range clients {
		var err error
		if clients[i], err = New(Config{Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if err := ask(clients[i]); err == nil || !strings.Contains(err.Error(), "certificate is not valid") {
			t.Errorf("without authorities: %v", err)
		}
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if err := ask(c); err != nil {
			t.Errorf("with the authorities there: %v", err)
		}
	}
}
