package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Metrics is where monitoring systems ask for metrics and health over TCP.
type Metrics struct {
	// Listen is an IP address of this machine and a port; without the address: all of its
	// addresses.
	Listen string
	// CertFile and KeyFile, in PEM, are those of TLS; "": it is spoken in clear text.
	CertFile, KeyFile string
	// Token is what who asks has to present; zero: nothing.
	Token sdk.Secret
}

// shortestBearer is so long that nobody finds it by trying.
const shortestBearer = 16

func metricsFields() Fields {
	return Fields{
		"listen":   {Holds: Word},
		"tls":      {Holds: Nested, Fields: Fields{"cert_file": {Holds: Path}, "key_file": {Holds: Path}}},
		"insecure": {Holds: Boolean, Default: false},
		"token":    {Holds: Secret},
	}
}

// decodeMetrics returns nil if nobody is to ask. The environment alone can say so, too.
func decodeMetrics(root Object) *Metrics {
	if !root.e.under("metrics").usable() {
		return nil
	}
	o := root.Down("metrics")
	listen := o.Word("listen")
	if port, is := strings.CutPrefix(listen, "localhost:"); is { // whatever that name means elsewhere
		listen = "127.0.0.1:" + port
	}
	return &Metrics{
		Listen: listen, CertFile: o.Down("tls").Path("cert_file"), KeyFile: o.Down("tls").Path("key_file"), Token: o.Secret("token", bearer),
	}
}

// bearer checks what is sent in a header (RFC 6750).
func bearer(token string) *Fault {
	const remedy = "make one with: openssl rand -hex 32"
	switch {
	case token == "":
		return nil
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return &Fault{"can't be sent in a header", remedy}
	case len(token) < shortestBearer:
		return &Fault{fmt.Sprintf("is shorter than %d characters, and so can be found by trying", shortestBearer), remedy}
	}
	return nil
}

func validateMetrics(root Object, m *Metrics) {
	if m == nil {
		return
	}
	o := root.Down("metrics")
	Steered(o.Down("tls"), "cert_file", m.CertFile)
	Steered(o.Down("tls"), "key_file", m.KeyFile)
	CertificateAndKey(o.Down("tls"), File{"cert_file", m.CertFile}, File{"key_file", m.KeyFile})
	if o.Given("token") && !o.Broken("token") && o.Word("token") == "" {
		o.Report(o.At("token"), "is empty", "write token: ${file:PATH}, or remove the line")
	}
	if !o.Given("listen") {
		o.Report(o.At("listen"), "there is no address to listen on", "write listen: 127.0.0.1:9464")
		return
	}
	if local, ok := validateListen(o, m.Listen); ok && !local {
		validateReached(o)
	}
}

// validateListen says whether the address can be reached from this machine alone.
func validateListen(o Object, address string) (local, ok bool) {
	if o.Broken("listen") {
		return false, false
	}
	if strings.HasPrefix(address, ":") {
		address = "[::]" + address
	}
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil:
		o.Report(o.At("listen"), fmt.Sprintf("%q is not an address with a port", address), "write an IP address of this machine, like 127.0.0.1:9464 or [::1]:9464")
	case at.Port() == 0:
		o.Report(o.At("listen"), "with port 0 nobody knows where to ask", "choose a port, like 9464")
	default:
		return at.Addr().Unmap().IsLoopback(), true
	}
	return false, false
}

// validateReached reports what keeps others from an address that other machines reach.
func validateReached(o Object) {
	if security := o.Down("tls"); !security.Given("cert_file") && !security.Given("key_file") && !o.Boolean("insecure") {
		o.Report(o.At("listen"), "the names of accounts, and the token, would travel to other machines in clear text",
			"write tls with cert and key, listen on 127.0.0.1, or write insecure: true if something else encrypts what is sent")
	}
	if !o.Given("token") {
		o.Report(o.At("listen"), "whoever reaches this address from another machine could read the names of accounts and how they are",
			"write token: ${file:PATH}, or listen on 127.0.0.1")
	}
}
