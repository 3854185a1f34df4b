package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/authorities"
)

// Settings of an account that say by which way its broker is reached, and what stands
// for no proxy.
const (
	SettingProxy  = "proxy"
	SettingCAFile = "ca_file"

	noProxy = "none"
)

// ConnectionSettings are for the description of a provider that uses [Client], which
// heeds them of each account that has them.
func ConnectionSettings() []sdk.Setting {
	return []sdk.Setting{
		{Name: SettingProxy, Description: "The proxy by which the broker is reached, like http://proxy.example:3128, https://… or socks5://…, " +
			"with user:password@ if it wants them; none: no proxy. Not set: what HTTPS_PROXY and NO_PROXY say."},
		{Name: SettingCAFile, Steers: true, Description: "The absolute path of a PEM file of the certificate authorities to believe in the place of the machine's, as behind a proxy that looks into TLS. " +
			"Not set: SSL_CERT_FILE, or the machine's."},
	}
}

// ProxyFault says why raw can be no value of [SettingProxy], without quoting it: it may
// hold a password. "": it can.
func ProxyFault(raw string) string {
	if raw == "" || raw == noProxy {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || isMore(u) || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return "is not the address of a proxy, like http://proxy.example:3128 or socks5://127.0.0.1:1080, or none; " + encoded
	}
	return ""
}

// encoded is the hint about an address that is cut by a password in it.
const encoded = "in a user or a password write / ? # @ as %2F %3F %23 %40"

// isMore says whether u is more than the address of a proxy. Most likely a character
// of the password has ended the address, and what counts as the host is the user and
// the password's beginning: it must be neither looked up nor shown.
func isMore(u *url.URL) bool {
	return u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != ""
}

// route is the way of one attempt's connection: by which proxy, and how far it came. By
// it a failure is told of the party at fault.
type route struct {
	setting string // the account's; "": the environment counts

	mu      sync.Mutex
	plain   bool     // http, for which the environment has a variable of its own
	proxy   *url.URL // nil: none
	through bool     // the proxy has opened the way to the server
}

func newRoute(a sdk.Account) *route { return &route{setting: a.Settings[SettingProxy]} }

// errProxyAddress stands for the errors of package url, which quote the password.
var errProxyAddress = errors.New("the proxy's address can't be used")

// choose is for [http.Transport.Proxy].
func (r *route) choose(req *http.Request) (proxy *url.URL, err error) {
	switch r.setting {
	case "":
		proxy, err = http.ProxyFromEnvironment(req)
	case noProxy:
	default:
		proxy, err = url.Parse(r.setting)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plain = req.URL.Scheme == "http"
	if err != nil || proxy != nil && isMore(proxy) {
		return nil, errProxyAddress
	}
	r.proxy = proxy
	return proxy, nil
}

// proxyRefusal is a proxy's answer to CONNECT, by which it opens no way.
type proxyRefusal struct{ status int }

func (e proxyRefusal) Error() string { return fmt.Sprintf("the proxy answered HTTP %d", e.status) }

// answered is for [http.Transport.OnProxyConnectResponse].
func (r *route) answered(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyRefusal{resp.StatusCode}
	}
	r.open()
	return nil
}

// open notes that what follows is said to the server.
func (r *route) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.through = true
}

// greeting notes that a TLS handshake begins: over SOCKS, the server's.
func (r *route) greeting() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proxy != nil && strings.HasPrefix(r.proxy.Scheme, "socks") {
		r.through = true
	}
}

// reason says in words of our own why a request to host failed, and whose fault it was.
func (r *route) reason(err error, host string) string {
	r.mu.Lock()
	proxy, through, plain := r.proxy, r.through, r.plain
	r.mu.Unlock()
	where := "HTTPS_PROXY in the environment"
	switch {
	case r.setting != "":
		where = "setting " + SettingProxy
	case plain:
		where = "HTTP_PROXY in the environment"
	}
	switch {
	case errors.Is(err, errProxyAddress):
		return "the address of the proxy (" + where + ") can't be used: write it like http://proxy.example:3128; " + encoded
	case proxy == nil:
		return reason(err)
	case through:
		return reason(err) + " (by way of the proxy " + proxy.Host + ")"
	}
	return fmt.Sprintf("the proxy %s (%s) %s", proxy.Host, where, proxyReason(err, proxy.User != nil, host))
}

// proxyReason goes on after the proxy's name.
func proxyReason(err error, hasUser bool, host string) string {
	var (
		refusal proxyRefusal
		op      *net.OpError
	)
	switch {
	case errors.As(err, &refusal) && refusal.status == http.StatusProxyAuthRequired && hasUser:
		return "does not take the user and the password of its address (HTTP 407)"
	case errors.As(err, &refusal) && refusal.status == http.StatusProxyAuthRequired:
		return "wants a user and a password (HTTP 407): write them into its address, as http://user:password@…"
	case errors.As(err, &refusal):
		return fmt.Sprintf("opens no way to %s: it answered HTTP %d", host, refusal.status)
	case errors.As(err, &op) && strings.HasPrefix(op.Op, "socks"):
		if said, ok := socksWord(op.Err); ok {
			return "opens no way to " + host + ": " + said
		}
	}
	switch why := reason(err); why {
	case unclear:
		return "does not speak the protocol of its address"
	default:
		return "can't be used: " + why
	}
}

// socksWord is what a SOCKS proxy has answered (RFC 1928 and 1929), as net/http words
// it; ok is false for everything else, which might quote something.
func socksWord(err error) (said string, ok bool) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case strings.Contains(text, "authentication"):
		return "it does not take the user and the password of its address, or wants some", true
	case strings.HasPrefix(text, "unknown error "):
		said = strings.TrimPrefix(text, "unknown error ")
		return "it answered " + said, len(said) <= 48
	}
	return "", false
}

// CAFault says why path can be no value of [SettingCAFile]. "": it can, now.
func CAFault(path string) string {
	if path == "" {
		return ""
	}
	_, err := readAuthorities(path)
	if err != nil {
		return err.Error()
	}
	return ""
}

// errRelative does not quote the path: it may be the content of a file, by mistake.
var errRelative = errors.New("is not an absolute path: write it from the first / on")

// readAuthorities reads the file that the setting names. Its errors go on after the
// setting's name.
func readAuthorities(path string) (*x509.CertPool, error) {
	if !filepath.IsAbs(path) {
		return nil, errRelative
	}
	return authorities.Read(path)
}

// roots are the certificate authorities that are believed for an account; nil: the
// machine's, of which none were found.
func (c *Client) roots(a sdk.Account) (*x509.CertPool, error) {
	path := a.Settings[SettingCAFile]
	if path == "" && c.RootCAs != nil {
		return c.RootCAs, nil
	}
	if path == "" {
		return authorities.OfMachine(), nil
	}
	pool, err := readAuthorities(path)
	if err != nil {
		return nil, fmt.Errorf("the setting %s %w", SettingCAFile, err)
	}
	return pool, nil
}
