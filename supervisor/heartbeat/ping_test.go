package heartbeat_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
)

const path = "/CANARY-1"

// beats runs a heartbeat to a real server until it has told of one request, and returns
// how it is then.
func beats(t *testing.T, cfg config.Heartbeat, trouble string) heartbeat.Status {
	t.Helper()
	cfg.Every = time.Millisecond
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	ready := make(chan struct{})
	close(ready)
	var log strings.Builder
	h, err := heartbeat.New(cfg, heartbeat.With{
		Ready:   func() <-chan struct{} { return ready },
		Trouble: func(context.Context) string { return trouble },
		Now:     time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	waittest.Until(t, "a request", func() bool {
		s := h.Status()
		return s.Failures > 0 || s.FailureTold || !s.LastPing.IsZero()
	})
	s := h.Status()
	cancel()
	<-done
	shown, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if all := string(shown) + log.String(); strings.Contains(all, "CANARY") {
		t.Errorf("a secret: %s", all)
	}
	return s
}

// request is what a service got.
type request struct{ method, path, body, agent, user string }

// newService answers each request with a status and a body, and passes it on.
func newService(t *testing.T, secure bool, status int, body string) (srv *httptest.Server, got <-chan request) {
	t.Helper()
	requests := make(chan request, 1000)
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		user, _, _ := req.BasicAuth()
		select {
		case requests <- request{req.Method, req.RequestURI, string(b), req.UserAgent(), user}:
		default:
		}
		if status >= 300 && status <= 399 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv, requests
}

func to(srv *httptest.Server) sdk.Secret { return sdk.NewSecret(srv.URL + path + "?k=CANARY") }

func TestPingOverHTTP(t *testing.T) {
	srv, got := newService(t, false, http.StatusOK, "OK")
	s := beats(t, config.Heartbeat{URL: sdk.NewSecret(strings.Replace(srv.URL, "//", "//CANARY:CANARY@", 1) + path)}, "")
	if r := <-got; r != (request{http.MethodGet, path, "", "tokenkeeper", "CANARY"}) || s.State != heartbeat.Beating {
		t.Errorf("%+v, %+v", r, s)
	}
	if host := strings.TrimPrefix(srv.URL, "http://"); s.To != host {
		t.Errorf("it goes to %s, want %s", s.To, host)
	}
}

func TestFailureOverHTTP(t *testing.T) {
	srv, got := newService(t, false, http.StatusOK, "OK")
	s := beats(t, config.Heartbeat{URL: to(srv), OnFailure: config.FailTold}, "main needs login; sink failing hook")
	if r := <-got; r != (request{http.MethodPost, path + "/fail?k=CANARY", "main needs login; sink failing hook\n", "tokenkeeper", ""}) {
		t.Errorf("%+v", r)
	}
	if s.State != heartbeat.Held || !s.FailureTold {
		t.Errorf("%+v", s)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"an error":            {http.StatusInternalServerError, "CANARY", "the service answered 500 Internal Server Error"},
		"unknown":             {http.StatusNotFound, "CANARY", "the service answered 404 Not Found: check heartbeat.url, and whether the service still has this check"},
		"unknown, in a 200":   {http.StatusOK, "OK (not found)", "the service does not know this address: check heartbeat.url, and whether the service still has this check"},
		"too often, in a 200": {http.StatusOK, "OK (rate limited)\n", "the service does not count pings that come so often: write a longer heartbeat.every"},
		"too often":           {http.StatusTooManyRequests, "", "the service answered 429 Too Many Requests: write a longer heartbeat.every"},
		"elsewhere":           {http.StatusFound, "", "the service answered 302 Found: redirects are not followed; set heartbeat.url to where it leads"},
		"forbidden":           {http.StatusForbidden, "", "the service answered 403 Forbidden: check heartbeat.url"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, got := newService(t, false, tt.status, tt.body)
			s := beats(t, config.Heartbeat{URL: to(srv)}, "")
			if s.State != heartbeat.Failing || s.LastError != tt.want {
				t.Errorf("got  %s\nwant %s", s.LastError, tt.want)
			}
			if r := <-got; !strings.HasPrefix(r.path, path) {
				t.Errorf("a redirect was followed to %s", r.path)
			}
		})
	}
}

// Nobody listens, nobody answers, a certificate that nobody knows: each is told in words
// without the address.
func TestServiceThatIsNotThere(t *testing.T) {
	gone, _ := newService(t, false, http.StatusOK, "")
	gone.Close()
	if s := beats(t, config.Heartbeat{URL: to(gone)}, ""); s.LastError != "nobody listens at the receiver's address: connection refused" {
		t.Errorf("gone: %s", s.LastError)
	}
	hung := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(hung) })
	if s := beats(t, config.Heartbeat{URL: to(silent), Timeout: 50 * time.Millisecond}, ""); s.LastError != "the receiver did not answer in time (at most 50ms)" {
		t.Errorf("silent: %s", s.LastError)
	}
	secure, _ := newService(t, true, http.StatusOK, "")
	if s := beats(t, config.Heartbeat{URL: to(secure)}, ""); !strings.HasPrefix(s.LastError, "the receiver's certificate is not valid for this machine") {
		t.Errorf("secure: %s", s.LastError)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := beats(t, config.Heartbeat{URL: to(secure), CAFile: ca}, ""); s.State != heartbeat.Beating {
		t.Errorf("by its authority: %+v", s)
	}
}

// A proxy with a password is asked, and told by name when it is dead.
func TestPingThroughAProxy(t *testing.T) {
	srv, _ := newService(t, false, http.StatusOK, "")
	proxy, got := newService(t, false, http.StatusOK, "") // it answers in the service's place
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("user", "CANARY")
	s := beats(t, config.Heartbeat{URL: to(srv), Proxy: sdk.NewSecret(u.String())}, "")
	if r := <-got; r.path != srv.URL+path+"?k=CANARY" || s.State != heartbeat.Beating {
		t.Errorf("%+v, %+v", r, s)
	}
	proxy.Close()
	if s := beats(t, config.Heartbeat{URL: to(srv), Proxy: sdk.NewSecret(u.String())}, ""); !strings.HasPrefix(s.LastError, "the proxy "+u.Host+" (setting proxy) can't be reached (connection refused)") {
		t.Errorf("%+v", s)
	}
}

func TestBadAddress(t *testing.T) {
	if _, err := heartbeat.New(config.Heartbeat{URL: sdk.NewSecret("https://CANARY:x%zz/")}, heartbeat.With{}); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v", err)
	}
}
