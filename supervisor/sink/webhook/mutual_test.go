package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = issue(t, nil, 1, true)
	return a
}

// issue signs with the authority; nil: with its own key.
func issue(t testing.TB, by *authority, serial int64, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IsCA: ca, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func keyPEM(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// replace puts a new file in the place of the old one, as programs that renew
// certificates do.
func replace(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// door is a receiver that asks for certificates and notes whose it saw. Every
// request comes on a connection of its own.
type door struct {
	*httptest.Server
	mu      sync.Mutex
	serials []int64
}

func newDoor(t testing.TB, a *authority, change func(*tls.Config)) *door {
	d := &door{}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, c := range req.TLS.PeerCertificates[:min(1, len(req.TLS.PeerCertificates))] {
			d.serials = append(d.serials, c.SerialNumber.Int64())
		}
	}))
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	cert, key := issue(t, a, 2, false)
	d.TLS = &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
	}
	if change != nil {
		change(d.TLS)
	}
	d.Config.ErrorLog = log.New(io.Discard, "", 0)
	d.StartTLS()
	d.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(d.Close)
	return d
}

func TestMutualTLS(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	ca, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, ca, certPEM(a.cert))
	d := newDoor(t, a, nil)
	s := newSink(t, webhook.Config{URL: d.URL + query, CAFile: ca, CertFile: certFile, KeyFile: keyFile})
	deliver := func() error {
		err := s.Deliver(t.Context(), sinktest.Full("a", 1))
		sinktest.AssertNoSecret(t, err)
		return err
	}
	if err := deliver(); err == nil || !strings.Contains(err.Error(), certFile) {
		t.Errorf("no files yet: %v", err)
	}
	first, firstKey := issue(t, a, 11, false)
	replace(t, certFile, certPEM(first))
	replace(t, keyFile, keyPEM(t, firstKey))
	if err := deliver(); err != nil {
		t.Fatal(err)
	}
	renewed, renewedKey := issue(t, a, 12, false)
	replace(t, certFile, certPEM(renewed))
	if err := deliver(); err != nil {
		t.Errorf("only the certificate is replaced yet: %v", err)
	}
	replace(t, keyFile, keyPEM(t, renewedKey))
	if err := deliver(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if err := deliver(); err != nil {
		t.Errorf("the key is away for a moment: %v", err)
	}
	if want := []int64{11, 11, 12, 12}; !slices.Equal(d.serials, want) {
		t.Errorf("the receiver saw %v, want %v", d.serials, want)
	}
}

func TestCertificateThatIsLackingOrUnknown(t *testing.T) {
	a, stranger, dir := newAuthority(t), newAuthority(t), t.TempDir()
	ca, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, ca, certPEM(a.cert))
	cert, key := issue(t, stranger, 13, false)
	replace(t, certFile, certPEM(cert))
	replace(t, keyFile, keyPEM(t, key))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		d := newDoor(t, a, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		for name, cfg := range map[string]webhook.Config{"none": {}, "of another authority": {CertFile: certFile, KeyFile: keyFile}} {
			cfg.URL, cfg.CAFile = d.URL+query, ca
			err := newSink(t, cfg).Deliver(t.Context(), sinktest.Full("a", 1))
			// Sent before the receiver's alert is read, a request can also
			// meet a connection that is already closed.
			if err == nil || !strings.Contains(err.Error(), "ended the TLS handshake") && !strings.Contains(err.Error(), "closed the connection") {
				t.Errorf("%s, TLS %x: %v", name, version, err)
			}
			sinktest.AssertNoSecret(t, err)
		}
	}
	old := newDoor(t, a, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	err := newSink(t, webhook.Config{URL: old.URL, CAFile: ca}).Deliver(t.Context(), sinktest.Full("a", 1))
	if err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a receiver that speaks only TLS 1.1: %v", err)
	}
}

func TestOwnAuthorities(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	d := newDoor(t, a, func(c *tls.Config) { c.ClientAuth = tls.NoClientCert })
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		replace(t, path, content)
		return path
	}
	for name, c := range map[string]struct{ path, want string }{
		"its own":      {file("own", certPEM(a.cert)), ""},
		"another":      {file("another", certPEM(newAuthority(t).cert)), "certificate is not valid"},
		"nothing":      {file("nothing", []byte("CANARY")), "holds no certificate in PEM"},
		"a key":        {file("key", keyPEM(t, a.key)), "holds no certificate in PEM"},
		"missing":      {filepath.Join(dir, "missing"), "ca_file can't be read"},
		"no CA at all": {"", "certificate is not valid"},
	} {
		s := newSink(t, webhook.Config{URL: d.URL + query, CAFile: c.path})
		err := s.Deliver(t.Context(), sinktest.Full("a", 1))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		sinktest.AssertNoSecret(t, err)
		if name == "missing" { // it appears
			replace(t, c.path, certPEM(a.cert))
			if err := s.Deliver(t.Context(), sinktest.Full("a", 1)); err != nil {
				t.Errorf("%s, then appearing: %v", name, err)
			}
		}
	}
}
