package webhook_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

func BenchmarkDeliver(b *testing.B) {
	took := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	plain := httptest.NewServer(took)
	b.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(took)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	b.Cleanup(secure.Close)
	known := x509.NewCertPool()
	known.AddCert(secure.Certificate())
	for name, url := range map[string]string{"plain": plain.URL, "TLS": secure.URL} {
		b.Run(name, func(b *testing.B) {
			s, err := webhook.New(webhook.Config{URL: url, RootCAs: known, Secret: sdk.NewSecret(secret)})
			if err != nil {
				b.Fatal(err)
			}
			sinktest.Benchmark(b, s)
		})
	}
}
