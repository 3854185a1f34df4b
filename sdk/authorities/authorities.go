// Package authorities has the certificate authorities that are believed: those of a file,
// and the machine's, whenever they come.
package authorities

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Read reads a file of certificates in PEM. Its errors go on after the name of the setting
// that names the file, and tell nothing of what it holds, which might be a key by mistake.
func Read(path string) (*x509.CertPool, error) {
	const largest = 4 << 20
	pem, _, err := files.ReadWhole(path, largest)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("names %s, which holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", path)
	}
	return pool, nil
}

// OfMachine are the machine's, also where package x509 has found none at its first use, or
// could not read them, and looks no more: they may have been installed, or mounted, since,
// and a process lives for months. nil: there are none.
func OfMachine() *x509.CertPool {
	found, err := x509.SystemCertPool() // which reads them anew after an error, and not after finding none
	if err == nil && !found.Equal(x509.NewCertPool()) {
		return found
	}
	bundles := []string{os.Getenv("SSL_CERT_FILE")}
	if bundles[0] == "" {
		bundles = []string{ // of Debian, Fedora, openSUSE, and of Alpine and the BSDs
			"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
			"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
		}
	}
	for _, path := range bundles {
		if pool, err := Read(path); err == nil {
			return pool
		}
	}
	return nil
}

// BelieveMachine has the whole process believe those, where package x509 has none: it is
// for who makes connections in code that can't be told of any. It says whether there are
// some; then it need not be called again.
func BelieveMachine() (found bool) {
	pool := OfMachine()
	if pool == nil {
		return false
	}
	// It does nothing where package x509 has the machine's, and panics when it is called a
	// second time: then somebody has seen to it.
	defer func() { _ = recover() }()
	found = true
	x509.SetFallbackRoots(pool)
	return found
}
