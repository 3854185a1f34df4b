package webhook_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

const proxyUser = "Basic dXNlcjpwYXNzLUNBTkFSWQ==" // user:pass-CANARY

// newProxy passes on what a user asks for who may use it, and counts that.
func newProxy(t *testing.T) (address string, passed *atomic.Int64) {
	passed = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Proxy-Authorization") != proxyUser {
			w.Header().Set("Proxy-Authenticate", `Basic realm="CANARY"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		passed.Add(1)
		if req.Method != http.MethodConnect {
			req.RequestURI = ""
			req.Header.Del("Proxy-Authorization")
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			_ = resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			return
		}
		there, err := net.Dial("tcp", req.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(there, here); _ = there.Close() })
		both.Go(func() { _, _ = io.Copy(here, there); _ = here.Close() })
		both.Wait()
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), passed
}

func TestProxy(t *testing.T) {
	_, closed, _ := strings.Cut(newReceiver(t).url, "@") // it is bound, and never listens
	closed, _, _ = strings.Cut(closed, "/")
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	known := x509.NewCertPool()
	known.AddCert(secure.Certificate())
	for _, receiver := range []string{plain.URL, secure.URL} {
		address, passed := newProxy(t)
		for _, c := range []struct {
			name, proxy, want string
			passes            int64
		}{
			{"with its user", "http://user:pass-CANARY@" + address, "", 1},
			{"none", config.NoProxy, "", 0},
			{"wrong user", "http://user:CANARY@" + address, "the proxy " + address + " (setting proxy) does not take the user and the password of its URL (HTTP 407)", 0},
			{"no user", "http://" + address, "the proxy " + address + " (setting proxy) wants a user and a password (HTTP 407): write them into its URL", 0},
			{"nobody there", "http://user:CANARY@" + closed, "the proxy " + closed + " (setting proxy) can't be reached (connection refused)", 0},
			{"nobody there, SOCKS", "socks5://user:CANARY@" + closed, "the proxy " + closed + " (setting proxy) can't be reached (connection refused)", 0},
			{"no TLS there", "https://user:CANARY@" + address, "the proxy " + address + " (setting proxy) can't be reached", 0},
		} {
			before := passed.Load()
			s := newSink(t, webhook.Config{URL: receiver + "/token" + query, RootCAs: known, Proxy: sdk.NewSecret(c.proxy)})
			err := s.Deliver(t.Context(), sinktest.Full("a", 1))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %q", receiver, c.name, err, c.want)
			}
			sinktest.AssertNoSecret(t, err)
			if got := passed.Load() - before; got != c.passes {
				t.Errorf("%s, %s: %d requests went through the proxy", receiver, c.name, got)
			}
		}
	}
	// Behind a proxy the receiver's own failures are told as the receiver's, and by which
	// way they came.
	address, _ := newProxy(t)
	for receiver, want := range map[string]string{
		secure.URL:          "the receiver's certificate is not valid for this machine: check its host name, its dates and who signed it (by way of the proxy " + address + ")",
		"https://" + closed: "the proxy " + address + " (setting proxy) opens no way to the receiver: it answered 502 Bad Gateway",
	} {
		s := newSink(t, webhook.Config{URL: receiver + query, Proxy: sdk.NewSecret("http://user:pass-CANARY@" + address)})
		err := s.Deliver(t.Context(), sinktest.Full("a", 1))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", receiver, err, want)
		}
		sinktest.AssertNoSecret(t, err)
	}
	for _, wrong := range []string{"ftp://CANARY", "CANARY", "http://CANARY@[::1", "http://"} {
		_, err := webhook.New(webhook.Config{URL: plain.URL, Proxy: sdk.NewSecret(wrong)})
		if err == nil {
			t.Errorf("%s was taken for a proxy", wrong)
		}
		sinktest.AssertNoSecret(t, err)
	}
}
