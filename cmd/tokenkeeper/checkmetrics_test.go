package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// certificate writes one that signs itself, and its key, into a folder.
func certificate(t *testing.T, ends time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return cert, key
}

func TestCheckLooksAtMetrics(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	taken := ln.Addr().String()
	answers := func(m *control.MetricsListener) stateDir {
		return stateDir{InUseBy: 7, answered: &control.Status{Metrics: m}}
	}
	const busy = "metrics.listen: another program listens on ADDRESS already"
	for name, tt := range map[string]struct {
		listen           string
		ends             time.Duration // 0: no certificate
		state            stateDir
		problem, warning string
	}{
		"a free port":                       {listen: "127.0.0.1:0"},
		"a port that is taken":              {listen: taken, problem: busy},
		"by our own supervisor":             {listen: taken, state: answers(&control.MetricsListener{Listen: taken})},
		"by another than our own":           {listen: taken, state: answers(&control.MetricsListener{Listen: "127.0.0.1:1"}), problem: busy},
		"while ours has none so far":        {listen: taken, state: answers(nil), problem: busy},
		"while ours does not answer":        {listen: taken, state: stateDir{silent: true}, warning: busy},
		"an address of another machine":     {listen: "192.0.2.1:1", problem: "metrics.listen: this machine does not have the address of 192.0.2.1:1"},
		"a certificate":                     {listen: "127.0.0.1:0", ends: 15 * 24 * time.Hour},
		"a certificate that ends":           {listen: "127.0.0.1:0", ends: 13 * 24 * time.Hour, warning: "metrics.tls.cert_file: the certificate ends 20"},
		"a certificate that has ended":      {listen: "127.0.0.1:0", ends: -time.Hour, problem: "metrics.tls.cert_file: the certificate has ended 20"},
		"a certificate that can't be read ": {listen: "127.0.0.1:0", ends: 1}, // which is told when the configuration is loaded
	} {
		t.Run(name, func(t *testing.T) {
			m := config.Metrics{Listen: tt.listen}
			if tt.ends == 1 {
				m.CertFile, m.KeyFile = "/gone/cert", "/gone/key"
			} else if tt.ends != 0 {
				m.CertFile, m.KeyFile = certificate(t, now.Add(tt.ends))
			}
			r := report{Config: "tk.yaml"}
			r.addMetrics(&m, tt.state, now)
			for _, said := range []struct {
				got  []finding
				want string
			}{{r.Problems, tt.problem}, {r.Warnings, tt.warning}} {
				want := strings.ReplaceAll(said.want, "ADDRESS", taken)
				if len(said.got) > 1 || (len(said.got) == 1) != (want != "") || want != "" && !strings.Contains(said.got[0].String(), want) {
					t.Errorf("got %v, want %q", said.got, want)
				}
			}
		})
	}
	var r report
	r.addMetrics(nil, stateDir{}, now)
	if len(r.Problems)+len(r.Warnings) > 0 {
		t.Errorf("nobody is to ask: %+v", r)
	}
}
