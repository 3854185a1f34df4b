package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// This is what all have that are reached over HTTP: the way to the receiver.

// NoProxy is a proxy setting: connect directly, whatever the environment says.
const NoProxy = "none"

// Proxy reads the address of a proxy, which may hold a password: it is not quoted.
func Proxy(o Object, key string) sdk.Secret {
	proxy, referenced := o.Text(key)
	if f := proxyFault(proxy); f != nil && o.Given(key) && !o.Broken(key) {
		o.Reject(key, f)
	} else if u, err := url.Parse(proxy); err == nil && u.User != nil && !referenced {
		o.InClear(key)
	}
	return sdk.NewSecret(proxy)
}

// proxyFault does not quote the address.
func proxyFault(proxy string) *Fault {
	if proxy == NoProxy {
		return nil
	}
	u, err := url.Parse(proxy)
	if err == nil && isMore(u) {
		return &Fault{Message: "is more than the address of a proxy", Hint: "in a user or a password write / ? # @ as %2F %3F %23 %40"}
	}
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return &Fault{Message: "is not the address of a proxy", Hint: "write it like http://proxy.example:3128 or socks5://127.0.0.1:1080, or none"}
	}
	return nil
}

// isMore says whether something follows the address of a proxy. Most likely a character
// of the password has ended it, and what counts as the host is the user and the
// password's beginning: it must be neither looked up nor shown.
func isMore(u *url.URL) bool {
	return u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != ""
}

// Authorities loads the file of the authorities that may have signed the receiver's
// certificate, "": none, so that one which is missing or wrong is found before anything
// has to go out.
func Authorities(o Object, key, path string) {
	if path == "" {
		return
	}
	if data, _, ok := ReadFile(o, key, path); ok && !x509.NewCertPool().AppendCertsFromPEM(data) {
		BadFile(o, key, "the file holds no certificate in PEM",
			"name the file of the authority's certificate, which begins with -----BEGIN CERTIFICATE-----")
	}
}

// File is one that a key names; Path "": it does not.
type File struct{ Key, Path string }

// CertificateAndKey loads both, so that one which is missing or wrong is found before
// it is shown to anybody. None of both is no problem.
func CertificateAndKey(o Object, cert, key File) {
	switch {
	case o.Given(cert.Key) && !o.Given(key.Key):
		o.Report(o.At(cert.Key), "the certificate has no key", "write "+key.Key+": the file of its private key")
		return
	case o.Given(key.Key) && !o.Given(cert.Key):
		o.Report(o.At(key.Key), "the key has no certificate", "write "+cert.Key+": the file of its certificate")
		return
	case cert.Path == "" || key.Path == "":
		return
	}
	certificate, _, certRead := ReadFile(o, cert.Key, cert.Path)
	private, mode, keyRead := ReadFile(o, key.Key, key.Path)
	if keyRead && mode&0o004 != 0 {
		o.Warn(o.At(key.Key), fmt.Sprintf("everyone on this machine can read the private key (mode %#o)", mode), "chmod 600 it")
	}
	if !certRead || !keyRead {
		return
	}
	if _, err := tls.X509KeyPair(certificate, private); err != nil {
		BadFile(o, cert.Key, "the certificate and its key can't be used: "+strings.TrimPrefix(err.Error(), "tls: "),
			"name a certificate in PEM, and in "+key.Key+" the private key that belongs to it")
	}
}

// OfTLS reports keys that mean nothing where the address is one of http.
func OfTLS(o Object, keys ...string) {
	for _, key := range keys {
		if o.Given(key) {
			o.Report(o.At(key), "has no effect on an address of http", "use https, or remove the line")
		}
	}
}

// Loopback says whether an address is one of this machine.
func Loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}
