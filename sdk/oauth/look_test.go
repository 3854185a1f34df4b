package oauth

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// A look is one request without anything of the account, and any answer will do.
func TestLook(t *testing.T) {
	type request struct {
		line, authorization string
		body                []byte
	}
	asked := make(chan request, 2)
	broker := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- request{r.Method + " " + r.RequestURI, r.Header.Get("Authorization"), body}
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("Location", "https://elsewhere.invalid/")
		w.WriteHeader(http.StatusFound)
	}))
	defer broker.Close()
	pool := x509.NewCertPool()
	pool.AddCert(broker.Certificate())
	a := sdk.Account{Name: "main", ClientID: "canary-id", ClientSecret: sdk.NewSecret(canarySecret), Settings: map[string]string{SettingProxy: noProxy}}
	s, err := (&Client{RootCAs: pool}).Look(t.Context(), a, broker.URL+"/token")
	if err != nil {
		t.Fatal(err)
	}
	if s.Status != http.StatusFound || !s.CertificateEnds.Equal(broker.Certificate().NotAfter) || !s.Dated || s.Ahead > -50*time.Minute || s.Ahead < -70*time.Minute {
		t.Errorf("saw %+v", s)
	}
	if r := <-asked; r.line != "HEAD /token" || r.authorization != "" || len(r.body) > 0 || len(asked) > 0 {
		t.Errorf("asked %+v, and %d more", r, len(asked))
	}
}

// Why nothing is to be seen is told, and what it was is known.
func TestLookAtNothing(t *testing.T) {
	broker := httptest.NewTLSServer(http.NotFoundHandler())
	defer broker.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	a := sdk.Account{Name: "main", Settings: map[string]string{SettingProxy: noProxy}}
	var unknown x509.UnknownAuthorityError
	_, err = (&Client{RootCAs: x509.NewCertPool()}).Look(t.Context(), a, broker.URL)
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), " can't be reached: its TLS certificate is not trusted") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	_, err = (&Client{}).Look(t.Context(), a, "http://"+closed.Addr().String())
	if want := closed.Addr().String() + " can't be reached: connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err = (&Client{}).Look(t.Context(), a, "http://broker.example"); err == nil || !strings.Contains(err.Error(), "must begin with https://") {
		t.Errorf("in clear text: %v", err)
	}
}

func TestAhead(t *testing.T) {
	sent := time.Date(2026, 9, 14, 14, 20, 0, 700e6, time.UTC)
	received := sent.Add(500 * time.Millisecond)
	for date, want := range map[time.Time]time.Duration{
		sent.Truncate(time.Second):                        0, // it was, in the second that had begun
		sent.Truncate(time.Second).Add(time.Second):       0,
		sent.Truncate(time.Second).Add(-time.Second):      -700 * time.Millisecond,
		sent.Truncate(time.Second).Add(time.Minute):       58*time.Second + 800*time.Millisecond,
		sent.Truncate(time.Second).Add(-61 * time.Second): -time.Minute - 700*time.Millisecond,
	} {
		if got := ahead(date, sent, received); got != want {
			t.Errorf("%s: %s, want %s", date, got, want)
		}
	}
}
