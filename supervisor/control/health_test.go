package control_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func TestProbes(t *testing.T) {
	good, bad := control.NewProbe(nil), control.NewProbe([]string{"main new: log in", "provider saxo has not answered yet"})
	socket, _, _ := serve(t, &backend{health: control.Health{Lives: good, Ready: bad}})
	for _, tt := range []struct {
		path, accept string
		status       int
		kind, body   string
	}{
		{"/healthz", "", 200, "text/plain; charset=utf-8", "ok\n"},
		{"/readyz", "*/*", 503, "text/plain; charset=utf-8", "main new: log in\nprovider saxo has not answered yet\n"},
		{"/healthz", "application/json", 200, "application/json", `{"ok":true,"reasons":[]}` + "\n"},
		{"/readyz", "text/html, application/json;q=0.9", 503, "application/json", `{"ok":false,"reasons":["main new: log in","provider saxo has not answered yet"]}` + "\n"},
	} {
		resp := overSocketWith(t, socket, http.MethodGet, tt.path, tt.accept, nil)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != tt.status || string(body) != tt.body || resp.Header.Get("Content-Type") != tt.kind || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, %q: %v, %d, %v\n%s", tt.path, tt.accept, err, resp.StatusCode, resp.Header, body)
		}
	}
}

// Who monitors reads three things, changes nothing and gets no token.
func TestMonitoredServesThreeThings(t *testing.T) {
	h := control.Monitored(&backend{health: control.Health{Lives: control.NewProbe(nil), Ready: control.NewProbe(nil)}})
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n", "/metrics": "\ntokenkeeper_account_valid{"} {
		if got := ask(http.MethodGet, path); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: %d\n%s", path, got.Code, got.Body)
		}
		if got := ask(http.MethodHead, path); got.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, got.Code)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			if got := ask(method, path); got.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, got.Code)
			}
		}
	}
	for _, path := range []string{"/", "/v1/status", "/v1/metrics", "/v1/accounts/main/token", "/v1/events", "/metrics/", "/debug/pprof/"} {
		if got := ask(http.MethodGet, path); got.Code != http.StatusNotFound {
			t.Errorf("%s: %d\n%s", path, got.Code, got.Body)
		}
	}
}
