package oauth

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// TestCertificatesAreNotQuoted: whoever answers has written the names in a certificate.
func TestCertificatesAreNotQuoted(t *testing.T) {
	const stranger = "canary-subject"
	theirs := &x509.Certificate{Subject: pkix.Name{CommonName: stranger}}
	sign := func(template x509.Certificate) *x509.Certificate { // each by a key of its own
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(nil, &template, &template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	of := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: theirs.Subject, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	sent := x509.NewCertPool()
	sent.AddCert(sign(of))
	_, unknown := sign(of).Verify(x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: sent})
	if unknown == nil || !strings.Contains(unknown.Error(), stranger) {
		t.Fatalf("nothing to hide in %v", unknown)
	}
	for want, err := range map[string]error{
		"signed by unknown authority": unknown,
		"not authorized to sign":      x509.CertificateInvalidError{Cert: theirs, Reason: x509.CANotAuthorizedForThisName, Detail: stranger},
		"is after 2026":               x509.CertificateInvalidError{Cert: theirs, Reason: x509.Expired, Detail: "current time is after 2026"},
		"can't verify it":             errors.New(stranger),
	} {
		got := reason(&tls.CertificateVerificationError{Err: err})
		if !strings.Contains(got, "its TLS certificate is not trusted: ") || !strings.Contains(got, want) || strings.Contains(got, stranger) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

// The authorities of a setting take the place of the machine's, and are read for each
// attempt.
func TestAuthoritiesOfASetting(t *testing.T) {
	s := httptest.NewTLSServer(answerWith(200, "application/json", goodAnswer))
	defer s.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.pem")
	req := refreshRequest()
	req.Account.Settings = map[string]string{SettingCAFile: file}
	refused := func(want string) {
		t.Helper()
		_, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), req)
		wantKind(t, err, sdk.KindNotSent)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	refused("the setting ca_file can't be read: stat " + file + ": no such file or directory")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("it is a pipe (FIFO) and no file")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte(canaryBody))
	refused("the setting ca_file names " + file + ", which holds no certificate in PEM")
	if fault := CAFault(file); !strings.Contains(fault, "holds no certificate in PEM") {
		t.Errorf("fault %q", fault)
	}
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if _, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), req); err != nil || CAFault(file) != "" {
		t.Error(err, CAFault(file))
	}
	t.Chdir(dir)
	req.Account.Settings[SettingCAFile] = "ca.pem"
	_, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), req)
	wantKind(t, err, sdk.KindInvalidClient)
	if want := "the setting ca_file is not an absolute path"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TLS is spoken where http is, and the other way round; or a version that nobody should
// speak any more.
func TestTLSWhereItIsNot(t *testing.T) {
	https := httptest.NewTLSServer(answerWith(200, "application/json", goodAnswer))
	defer https.Close()
	plain := httptest.NewServer(answerWith(200, "application/json", goodAnswer))
	defer plain.Close()
	old := httptest.NewUnstartedServer(answerWith(200, "application/json", goodAnswer))
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	picky := httptest.NewUnstartedServer(answerWith(200, "application/json", goodAnswer))
	picky.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	picky.StartTLS()
	defer picky.Close()
	pool := x509.NewCertPool()
	pool.AddCert(picky.Certificate())
	alert := serveRaw(t, func(c net.Conn) { _, _ = io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x0a") })
	for name, tt := range map[string]struct {
		url  string
		kind sdk.Kind
		want string
	}{
		"https to http":        {strings.Replace(plain.URL, "http:", "https:", 1), sdk.KindNotSent, "it speaks http on this port, and no TLS"},
		"http to https":        {strings.Replace(https.URL, "https:", "http:", 1), sdk.KindTransient, "answered HTTP 400, which is no OAuth error: it speaks TLS on this port"},
		"http to TLS":          {alert.url, sdk.KindAmbiguous, "no answer came: it speaks TLS on this port: write https://"},
		"a version before 1.2": {old.URL, sdk.KindNotSent, "it speaks no TLS from version 1.2 on"},
		"wants a certificate":  {picky.URL, sdk.KindNotSent, "it ended the TLS handshake: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&Client{RootCAs: pool}).Refresh(t.Context(), endpointAt(tt.url), refreshRequest())
			wantKind(t, err, tt.kind)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// Who answers in the place of a token endpoint is named, and the kind of the failure is
// as without that.
func TestStrangersAreNamed(t *testing.T) {
	const html = "<!DOCTYPE html><title>" + canaryBody + "</title>"
	for name, tt := range map[string]struct {
		status            int
		contentType, body string
		kind              sdk.Kind
		want              string
	}{
		"a portal's page":         {200, "text/html", html, sdk.KindAmbiguous, "answered HTTP 200 without a token: a web page in the place of JSON; it is from a network that wants a login first (captive portal)"},
		"a page that is no JSON":  {200, "application/json", html, sdk.KindAmbiguous, "a web page in the place of JSON"},
		"a firewall's page":       {403, "text/html", html, sdk.KindTransient, "answered HTTP 403, which is no OAuth error: a web page in the place of JSON"},
		"a portal by its status":  {511, "text/html", html, sdk.KindTransient, "this network wants a login first (captive portal)"},
		"a redirect":              {302, "", "", sdk.KindTransient, "a redirect, which is not followed"},
		"a proxy's page":          {407, "text/html", html, sdk.KindTransient, "a proxy on the way wants a user and a password"},
		"nginx's word on TLS":     {400, "text/html", "<center>The plain HTTP request was sent to HTTPS port</center>", sdk.KindTransient, "it speaks TLS on this port"},
		"the broker's own outage": {502, "text/html", html, sdk.KindTransient, "answered HTTP 502, which is no OAuth error; it will be tried again"},
		"JSON of another kind":    {404, "application/json", `{"x":1}`, sdk.KindTransient, "answered HTTP 404, which is no OAuth error; it will be tried again"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answerWith(tt.status, tt.contentType, tt.body, "Location", "https://"+canaryBody))
			_, err := refresh(t, endpointAt(s.URL))
			wantKind(t, err, tt.kind)
			if !strings.Contains(err.Error(), tt.want) || s.count() != 1 {
				t.Errorf("%d requests, got %v, want %s", s.count(), err, tt.want)
			}
		})
	}
}

// The machine's authorities may come after the first attempt of a process.
func TestAuthoritiesThatComeLater(t *testing.T) {
	const child = "TOKENKEEPER_TEST_AUTHORITIES"
	if os.Getenv(child) == "" {
		empty := t.TempDir()
		again := exec.Command(os.Args[0], "-test.run=^TestAuthoritiesThatComeLater$", "-test.v")
		again.Env = append(os.Environ(), child+"=1", "SSL_CERT_DIR="+empty, "SSL_CERT_FILE="+filepath.Join(empty, "later.pem"))
		if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	s := httptest.NewTLSServer(answerWith(200, "application/json", goodAnswer))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for range 2 {
		_, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), refreshRequest())
		wantKind(t, err, sdk.KindNotSent)
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), refreshRequest()); err != nil {
		t.Errorf("with the authorities there: %v", err)
	}
}
