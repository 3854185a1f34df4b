package webhook_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	known := x509.NewCertPool()
	known.AddCert(srv.Certificate())
	// The certificate is not for this address, which needs no DNS.
	elsewhere, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Config.Serve(tls.NewListener(elsewhere, srv.TLS))
	for name, c := range map[string]struct {
		url   string
		roots *x509.CertPool
		want  string // in the error; "": success
	}{
		"known authority":   {srv.URL, known, ""},
		"unknown authority": {srv.URL, x509.NewCertPool(), "certificate"},
		"wrong name":        {"https://" + elsewhere.Addr().String(), known, "certificate"},
		"plain HTTP to it":  {strings.Replace(srv.URL, "https:", "http:", 1), known, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, webhook.Config{URL: c.url + "/token" + query, RootCAs: c.roots})
			err := s.Deliver(t.Context(), sinktest.Full("a", 1))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			sinktest.AssertNoSecret(t, err)
		})
	}
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	err = newSink(t, webhook.Config{URL: strings.Replace(plain.URL, "http:", "https:", 1) + query}).Deliver(t.Context(), sinktest.Full("a", 1))
	if err == nil || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("TLS to a plain server: %v", err)
	}
	sinktest.AssertNoSecret(t, err)
}

func TestNewChecks(t *testing.T) {
	const good = "https://bots.example/token"
	for name, cfg := range map[string]webhook.Config{
		"no url":             {},
		"no scheme":          {URL: "bots.example/CANARY"},
		"other scheme":       {URL: "ftp://bots.example/CANARY"},
		"unparsable":         {URL: "https://CANARY@[::1"},
		"secret, no base64":  {URL: good, Secret: sdk.NewSecret("whsec_CANARY!")},
		"empty secret":       {URL: good, Secret: sdk.NewSecret("whsec_")},
		"a signature header": {URL: good, Headers: map[string]sdk.Secret{"Webhook-Id": sdk.NewSecret("x")}},
		"line end in header": {URL: good, Headers: map[string]sdk.Secret{"X-Key": sdk.NewSecret("CANARY\n")}},
		"only a certificate": {URL: good, CertFile: "cert.pem"},
		"only a key":         {URL: good, KeyFile: "key.pem"},
		"no media type":      {URL: good, ContentType: "a b"},
		"space in a name":    {URL: good, Headers: map[string]sdk.Secret{"X Key": sdk.NewSecret("x")}},
	} {
		_, err := webhook.New(cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		sinktest.AssertNoSecret(t, err)
	}
}
