package webclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// proxyOf returns what [http.Transport] asks for a proxy.
func proxyOf(setting sdk.Secret) (func(*http.Request) (*url.URL, error), error) {
	switch setting.Reveal() {
	case "":
		return http.ProxyFromEnvironment, nil
	case config.NoProxy:
		return nil, nil
	}
	u, err := url.Parse(setting.Reveal())
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("proxy: it must be a whole URL, e.g. http://proxy.example:3128, or %q", config.NoProxy)
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return http.ProxyURL(u), nil
	}
	return nil, errors.New("proxy: its URL must begin with http, https, socks5 or socks5h")
}

// proxyError is a proxy's answer to CONNECT, by which it opens no way.
type proxyError struct{ status int }

func (e proxyError) Error() string {
	return fmt.Sprintf("the proxy answered %d %s", e.status, http.StatusText(e.status))
}

func proxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return proxyError{resp.StatusCode}
}

// way is the one that a request goes, so that a failure is told of the party at fault.
type way struct {
	// proxied: by a proxy, at host, whose address has a user or not.
	proxied bool
	host    string // "": it can't be shown
	user    bool
	// setting: the proxy is that of the configuration, and else the environment's, for
	// http or not.
	setting, plain bool
}

// way returns that of a request.
func (c *Client) way(req *http.Request) way {
	w := way{setting: !c.cfg.Proxy.IsZero(), plain: req.URL.Scheme == "http"}
	if c.proxy == nil {
		return w
	}
	u, err := c.proxy(req)
	if err != nil || u == nil {
		return w
	}
	w.proxied, w.user = true, u.User != nil
	// Where there is more, a character of the password has most likely ended the
	// address, and what counts as its host is the password's beginning.
	if u.Opaque == "" && u.RawQuery == "" && u.Fragment == "" && strings.Trim(u.Path, "/") == "" {
		w.host = u.Host
	}
	return w
}

// String is the proxy, with the place where it is named.
func (w way) String() string {
	where := "HTTPS_PROXY in the environment"
	switch {
	case w.setting:
		where = "setting proxy"
	case w.plain:
		where = "HTTP_PROXY in the environment"
	}
	if w.host == "" {
		return "the proxy (" + where + ")"
	}
	return fmt.Sprintf("the proxy %s (%s)", w.host, where)
}

// refused is its answer, by which it opens no way.
func (w way) refused(status int) error {
	switch {
	case status != http.StatusProxyAuthRequired:
		return fmt.Errorf("%s opens no way to the receiver: it answered %d %s", w, status, http.StatusText(status))
	case w.user:
		return fmt.Errorf("%s does not take the user and the password of its URL (HTTP 407)", w)
	}
	return fmt.Errorf("%s wants a user and a password (HTTP 407): write them into its URL", w)
}

// named adds to the receiver's error by which proxy it came.
func (w way) named(err error) error {
	if w.host == "" {
		return err
	}
	return fmt.Errorf("%w (by way of the proxy %s)", err, w.host)
}
