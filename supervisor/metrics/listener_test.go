package metrics

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

const bearerToken = "the-token-of-the-monitoring"

// answering is the handler of a listener that says hello.
func answering() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
}

// open listens on a port that is free.
func open(t *testing.T, cfg config.Metrics) *Listener {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	l, err := Open(cfg, answering, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run has l answer until the test ends, and returns its address.
func run(t *testing.T, l *Listener) string {
	t.Helper()
	address := l.opened.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := waittest.Receive(t, "the listener ends", ended); err != nil {
			t.Error(err)
		}
	})
	return address
}

func get(t *testing.T, client *http.Client, url string, header http.Header) (status int, body string, back http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func TestOnlyTheBearerIsAnswered(t *testing.T) {
	url := "http://" + run(t, open(t, config.Metrics{Token: sdk.NewSecret(bearerToken)}))
	for given, passes := range map[string]bool{
		"Bearer " + bearerToken: true, "bearer  " + bearerToken: true,
		"": false, "Bearer": false, "Bearer ": false, "Bearer " + bearerToken + "x": false, "Bearer " + bearerToken[1:]: false,
		"Basic " + bearerToken: false, bearerToken: false, "Bearer " + strings.ToUpper(bearerToken): false,
	} {
		header := http.Header{}
		if given != "" {
			header.Set("Authorization", given)
		}
		status, body, back := get(t, http.DefaultClient, url, header)
		switch {
		case passes && (status != http.StatusOK || body != "hello"):
			t.Errorf("%q: %d %s", given, status, body)
		case !passes && (status != http.StatusUnauthorized || back.Get("Www-Authenticate") != `Bearer realm="tokenkeeper"` || strings.Contains(body, "hello") || strings.Contains(body, bearerToken)):
			t.Errorf("%q: %d %v %s", given, status, back, body)
		}
	}
	open := "http://" + run(t, open(t, config.Metrics{}))
	if status, body, _ := get(t, http.DefaultClient, open, http.Header{}); status != http.StatusOK || body != "hello" {
		t.Errorf("without a token: %d %s", status, body)
	}
}

// A port that another program has is an error before anything is answered, and says what
// to do.
func TestPortInUse(t *testing.T) {
	l := open(t, config.Metrics{})
	taken := config.Metrics{Listen: l.opened.Addr().String()}
	want := "another program listens on " + taken.Listen + " already: end it (ss -ltnp says which it is), or write another port"
	if _, err := Open(taken, answering, slog.New(slog.DiscardHandler)); err == nil || err.Error() != "metrics.listen: "+want {
		t.Errorf("Open: %v", err)
	}
	if err := Try(taken); err == nil || err.Error() != want {
		t.Errorf("Try: %v", err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if err := Try(taken); err != nil {
		t.Errorf("when it is free again: %v", err)
	}
	if err := Try(config.Metrics{Listen: "192.0.2.1:9464"}); err == nil || !strings.HasPrefix(err.Error(), "this machine does not have the address of 192.0.2.1:9464, or not yet: ") {
		t.Errorf("an address of another machine: %v", err)
	}
}

// A member that has ended, for whatever reason, listens again.
func TestRunsAgain(t *testing.T) {
	l := open(t, config.Metrics{})
	l.cfg.Listen = l.opened.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	ln, err := l.take()
	if err != nil {
		t.Fatal(err)
	}
	l.opened = ln
	if status, _, _ := get(t, http.DefaultClient, "http://"+run(t, l), http.Header{}); status != http.StatusOK {
		t.Error(status)
	}
}

// keyPair writes a certificate that signs itself, and its key.
func keyPair(t *testing.T, dir string, serial int64, ends time.Time) (cfg config.Metrics, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: ends, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg = config.Metrics{CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	replace := func(path, kind string, der []byte) {
		if err := errors.Join(os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	replace(cfg.CertFile, "CERTIFICATE", cert)
	replace(cfg.KeyFile, "PRIVATE KEY", private)
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cfg, pool
}

func trusting(pool *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// A certificate that was renewed is shown at the next connection, and nobody is spoken to
// in clear text.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	ends := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	cfg, first := keyPair(t, dir, 1, ends)
	l := open(t, cfg)
	address := run(t, l)
	if status, body, _ := get(t, trusting(first), "https://"+address, http.Header{}); status != http.StatusOK || body != "hello" {
		t.Errorf("%d %s", status, body)
	}
	if s := l.Status(); !s.TLS || !s.CertificateExpiry.Equal(ends) || !CertificateExpiry(cfg).Equal(ends) {
		t.Errorf("%+v, want the end %s", s, ends)
	}
	if status, body, _ := get(t, http.DefaultClient, "http://"+address, http.Header{}); status != http.StatusBadRequest || strings.Contains(body, "hello") {
		t.Errorf("in clear text: %d %s", status, body)
	}
	_, second := keyPair(t, dir, 2, ends.Add(time.Hour))
	if status, _, _ := get(t, trusting(second), "https://"+address, http.Header{}); status != http.StatusOK {
		t.Errorf("renewed: %d", status)
	}
	if s := l.Status(); !s.CertificateExpiry.Equal(ends.Add(time.Hour)) {
		t.Errorf("renewed: %+v", s)
	}
}

// A renewed certificate that can't be used is told, once for each change of the files, and
// the one before is shown on.
func TestCertificateThatCannotBeUsedIsTold(t *testing.T) {
	dir := t.TempDir()
	ends := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	cfg, pool := keyPair(t, dir, 1, ends)
	cfg.Listen = "127.0.0.1:0"
	var log lockedBuffer
	l, err := Open(cfg, answering, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	address := run(t, l)
	const unusable, usable = "the renewed certificate of the metrics can't be used", "the certificate of the metrics can be used now"
	expect := func(when, problem string, unusables, usables int) {
		t.Helper()
		for range 3 {
			l.Look()
		}
		if status, _, _ := get(t, trusting(pool), "https://"+address, http.Header{}); status != http.StatusOK {
			t.Errorf("%s: %d", when, status)
		}
		s := l.Status()
		if !s.CertificateExpiry.Equal(ends) || !strings.Contains(s.CertificateProblem, problem) || (problem == "") != (s.CertificateProblem == "") {
			t.Errorf("%s: %+v", when, s)
		}
		if text := log.String(); strings.Count(text, unusable) != unusables || strings.Count(text, usable) != usables {
			t.Errorf("%s: the log:\n%s", when, text)
		}
	}
	write := func(path, text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	expect("as it was opened", "", 0, 0)
	write(cfg.CertFile, "half of a certi")
	expect("half written", "metrics.tls.cert_file and metrics.tls.key_file can't be used: ", 1, 0)
	write(cfg.CertFile, "half of another")
	expect("half written again", "metrics.tls.cert_file and metrics.tls.key_file can't be used: ", 2, 0)
	if err := os.Remove(cfg.CertFile); err != nil {
		t.Fatal(err)
	}
	expect("gone", "metrics.tls.cert_file: ", 3, 0)
	ends = ends.Add(time.Hour)
	_, pool = keyPair(t, dir, 2, ends)
	expect("renewed", "", 3, 1)
}

// A certificate that is not there yet keeps nobody's tokens from being refreshed.
func TestCertificateThatComesLater(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Metrics{Listen: "127.0.0.1:0", CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	var log strings.Builder
	l, err := Open(cfg, answering, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if s := l.Status(); !s.CertificateExpiry.IsZero() || !strings.Contains(log.String(), "metrics are served to nobody before their certificate can be read") {
		t.Errorf("%+v\n%s", s, log.String())
	}
	address := run(t, l)
	if conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}); err == nil {
		_ = conn.Close()
		t.Error("a connection without a certificate")
	}
	_, pool := keyPair(t, dir, 1, time.Now().Add(time.Hour))
	if status, _, _ := get(t, trusting(pool), "https://"+address, http.Header{}); status != http.StatusOK {
		t.Errorf("when it has come: %d", status)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	url := "http://" + run(t, open(t, config.Metrics{}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Filler", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil { // it was cut off while it still sent
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

// What brings an answer down is told in the log, without what it was, and ends nothing else.
func TestPanicIsTold(t *testing.T) {
	var log lockedBuffer
	l, err := Open(config.Metrics{Listen: "127.0.0.1:0"}, func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				panic("canary")
			}
			_, _ = io.WriteString(w, "hello")
		})
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + run(t, l)
	if resp, err := http.Get(url + "/metrics"); err == nil {
		_ = resp.Body.Close()
		t.Errorf("it was answered: %s", resp.Status)
	}
	if status, body, _ := get(t, http.DefaultClient, url, http.Header{}); status != http.StatusOK || body != "hello" {
		t.Errorf("afterwards: %d %s", status, body)
	}
	if text := log.String(); !strings.Contains(text, "please report it") || !strings.Contains(text, "path=/metrics") || strings.Contains(text, "canary") {
		t.Errorf("the log:\n%s", text)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.String()
}
