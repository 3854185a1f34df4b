// Package mtls makes the certificates by which the supervisor and a process of its
// own program know each other: what go-plugin's AutoMTLS does, in its protocol, but on
// the curve P-256. That of AutoMTLS, P-521, costs each process half a MiB for a table
// for as long as it lives, and some milliseconds of its start.
//
// Each side makes a key and a certificate for this one process and believes the
// other's alone. The private keys leave nobody's memory.
package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// EnvHost is go-plugin's variable with the host's certificate.
const EnvHost = "PLUGIN_CLIENT_CERT"

const (
	serverName = "localhost" // what go-plugin asks for
	blockType  = "CERTIFICATE"
	// lifetime is more than any process has: it is not what ends a certificate.
	lifetime = 30 * 365 * 24 * time.Hour
	// clockSlack is as in go-plugin.
	clockSlack = 30 * time.Second
)

// Host returns the configuration of the supervisor's side, and what the process has to
// have in [EnvHost]. go-plugin adds the process's certificate, which comes with its
// handshake; nobody is believed before that.
func Host() (config *tls.Config, certificate string, err error) {
	own, err := generate()
	if err != nil {
		return nil, "", err
	}
	config = configure(own, x509.NewCertPool())
	return config, string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: own.Certificate[0]})), nil
}

// Plugin returns the configuration of the process's side for a host with that
// certificate, and the process's own as go-plugin's handshake has it. It is nil if the
// host's is on another curve, which is AutoMTLS's, or if there is none.
func Plugin(host string) (config *tls.Config, certificate string, err error) {
	block, _ := pem.Decode([]byte(host))
	if block == nil {
		return nil, "", nil
	}
	theirs, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, "", fmt.Errorf("read the certificate in %s: %w", EnvHost, err)
	}
	if key, ok := theirs.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, "", nil
	}
	own, err := generate()
	if err != nil {
		return nil, "", err
	}
	pool := x509.NewCertPool()
	pool.AddCert(theirs)
	return configure(own, pool), base64.RawStdEncoding.EncodeToString(own.Certificate[0]), nil
}

// certificateField is where go-plugin's handshake has the certificate, among fields
// that are separated by bars.
const certificateField = 5

// Greeting puts the process's certificate into go-plugin's handshake.
func Greeting(line, certificate string) (string, error) {
	fields := strings.Split(line, "|")
	if len(fields) <= certificateField || fields[certificateField] != "" {
		return "", errors.New("go-plugin's handshake has no place for a certificate")
	}
	fields[certificateField] = certificate
	return strings.Join(fields, "|"), nil
}

func configure(own tls.Certificate, believed *x509.CertPool) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    believed,
		RootCAs:      believed,
		ServerName:   serverName,
		MinVersion:   tls.VersionTLS13,
	}
}

func generate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
