package oauth

import (
	"crypto/x509"
	"os"
)

// machineRoots are the machine's certificate authorities, also where package x509 has
// found none at its first use, or could not read them, and looks no more: they may have
// been installed, or mounted, since, and a process lives for months. nil: there are none.
func machineRoots() *x509.CertPool {
	found, err := x509.SystemCertPool() // which reads them anew after an error, and not after finding none
	if err == nil && !found.Equal(x509.NewCertPool()) {
		return found
	}
	files := []string{os.Getenv("SSL_CERT_FILE")}
	if files[0] == "" {
		files = []string{ // of Debian, Fedora, openSUSE, and of Alpine and the BSDs
			"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
			"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
		}
	}
	for _, path := range files {
		if pool, err := authorities(path); err == nil {
			return pool
		}
	}
	return nil
}
