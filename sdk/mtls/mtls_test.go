package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// meet has both sides shake hands and exchange a byte.
func meet(t *testing.T, host, plugin *tls.Config) (client, server error) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		s := tls.Server(far, plugin)
		defer far.Close()
		_, err := s.Read(make([]byte, 1)) // after the handshake
		done <- err
	}()
	c := tls.Client(near, host)
	defer near.Close()
	_, client = c.Write([]byte("x"))
	if client == nil { // the server's word on our certificate comes after the handshake
		_, _ = c.Read(make([]byte, 1))
	}
	return client, <-done
}

// believe is what go-plugin does with the certificate in the handshake.
func believe(t *testing.T, host *tls.Config, certificate string) *tls.Config {
	t.Helper()
	der, err := base64.RawStdEncoding.DecodeString(certificate)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	host = host.Clone()
	host.RootCAs = x509.NewCertPool()
	host.RootCAs.AddCert(theirs)
	return host
}

func TestBothSidesKnowEachOtherAndNobodyElse(t *testing.T) {
	host, hello, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	plugin, answer, err := Plugin(hello)
	if err != nil || plugin == nil {
		t.Fatal(plugin, err)
	}
	stranger, strangers, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := Plugin(strangers)
	if err != nil {
		t.Fatal(err)
	}
	nobody := host.Clone()
	nobody.Certificates = nil
	for name, c := range map[string]struct {
		host, plugin *tls.Config
		well         bool
	}{
		"each other":                       {believe(t, host, answer), plugin, true},
		"a host without a handshake":       {host, plugin, false},
		"another process at the address":   {believe(t, host, answer), other, false},
		"another host":                     {believe(t, stranger, answer), plugin, false},
		"somebody without any certificate": {believe(t, nobody, answer), plugin, false},
	} {
		client, server := meet(t, c.host, c.plugin)
		if well := client == nil && server == nil; well != c.well {
			t.Errorf("%s: %v, %v", name, client, server)
		}
	}
}

func TestHostsOfAutoMTLSAreLeftToIt(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	auto := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for name, host := range map[string]string{"AutoMTLS": auto, "none": "", "nonsense": "x"} {
		if config, answer, err := Plugin(host); config != nil || answer != "" || err != nil {
			t.Errorf("%s: %v, %q, %v", name, config, answer, err)
		}
	}
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der[1:]}))
	if _, _, err := Plugin(broken); err == nil {
		t.Error("a broken certificate is taken for none")
	}
}

func TestGreeting(t *testing.T) {
	if got, err := Greeting("1|2|unix|/a|grpc|", "abc"); err != nil || got != "1|2|unix|/a|grpc|abc" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Greeting("1|2|unix|/a|grpc||true", "abc"); err != nil || got != "1|2|unix|/a|grpc|abc|true" {
		t.Errorf("%q, %v", got, err)
	}
	for _, line := range []string{"", "1|2|unix|/a|grpc", "1|2|unix|/a|grpc|taken"} {
		if got, err := Greeting(line, "abc"); err == nil {
			t.Errorf("%q became %q", line, got)
		}
	}
}
