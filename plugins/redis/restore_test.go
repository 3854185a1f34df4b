package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/redis"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func (r *rig) restore(account string) (sdk.Restored, error) {
	r.t.Helper()
	got, err := r.sink.Restore(r.t.Context(), sdk.RestoreRequest{Sink: "cache", Settings: r.settings, Account: account, Provider: "saxo"})
	r.free(err)
	return got, err
}

func TestRestore(t *testing.T) {
	r := start(t)
	if _, err := r.restore("saxo-live"); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("before the first delivery, the error is %v", err)
	}
	began := time.Now().Add(-time.Second)
	r.must(r.deliver(1))
	r.must(r.deliver(2))
	got, err := r.restore("saxo-live")
	r.must(err)
	if got.Content.Reveal() != content("saxo-live", 2) {
		t.Errorf("given back: %s", got.Content.Reveal())
	}
	if got.StoredAt.Before(began) || got.StoredAt.After(time.Now()) {
		t.Errorf("stored at %s", got.StoredAt)
	}
	r.do("DEL", "tokenkeeper:saxo-live:version")
	if got, err = r.restore("saxo-live"); err != nil || !got.StoredAt.IsZero() {
		t.Errorf("without its version: %v, stored at %s", err, got.StoredAt)
	}
	r.settings = with(r.settings, "key", "token")
	r.must(r.send(r.request("a", 1)))
	if _, err := r.restore("b"); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("of another account, the error is %v", err)
	}
	r.kill()
	if _, err := r.restore("a"); err == nil || errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("of a server that is down, the error is %v", err)
	}
}

// TestTLS: the server is known by its certificate, and the sink says what is
// wrong if it is not.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned(t, certificate, key)
	port := free(t)
	r := startWith(t, []string{"--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key,
		"--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"})
	r.settings = with(r.settings, "address", "localhost:"+port, "tls", "true", "ca_file", certificate)
	r.must(r.deliver(1))
	r.holds(1)
	r.settings = with(r.settings, "ca_file", "")
	if err := r.deliver(2); err == nil || !strings.Contains(err.Error(), "certificate is not trusted") {
		t.Errorf("the error is %v", err)
	}
	r.settings = with(r.settings, "ca_file", key)
	if err := r.deliver(2); err == nil || !strings.Contains(err.Error(), "no certificate in") {
		t.Errorf("the error is %v", err)
	}
	r.settings = with(r.settings, "tls", "false", "ca_file", "")
	if err := r.deliver(2); err == nil {
		t.Error("without TLS it was delivered")
	}
	r.holds(1)
}

// free is a port that was free a moment ago, and not one of those that the kernel gives
// to other tests (ip_local_port_range): the server takes it later.
func free(t *testing.T) string {
	late := waittest.Late(t)
	for port := 20_000 + os.Getpid()%10_000; ; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return strconv.Itoa(port)
		}
		select {
		case <-late:
			t.Fatal(err)
		default:
		}
	}
}

func selfSigned(t *testing.T, certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConformance runs the suite within this process and with the program that
// is shipped.
func TestConformance(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sink")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/tokenkeeper-sink-redis")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := start(t)
	at := func(network, address string) (sdk.Settings, net.Listener) {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		return with(r.settings, "address", l.Addr().String()), l
	}
	sinktest.Run(t, sinktest.Suite{
		New:     func() sdk.Sink { return redis.New(dial) },
		Program: []string{program},
		Settings: func(*testing.T) sdk.Settings {
			r.do("FLUSHALL")
			return r.settings
		},
		Stored: func(_ *testing.T, _ sdk.Settings, account string) string { return r.get("tokenkeeper:" + account) },
		Lose:   func(*testing.T, sdk.Settings) { r.do("FLUSHALL") },
		Missing: func(*testing.T) sdk.Settings {
			return with(r.settings, "address", "127.0.0.1:1") // nobody is given this port
		},
		Hanging: func(t *testing.T) sdk.Settings {
			settings, l := at("unix", filepath.Join(r.dir, "hanging"))
			t.Cleanup(func() { _ = l.Close() })
			return settings
		},
		Secrets: []string{password},
	})
}
