package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// errReached ends an attempt to reach a server before its first byte is sent.
var errReached = errors.New("reached")

// Reach tries the way to an address for an account: the proxy, if there is one, the
// connection and the TLS handshake. No request is sent. Its errors say whose fault it
// is, and are of the kind not_sent.
func (c *Client) Reach(ctx context.Context, a sdk.Account, address string) error {
	e := Endpoint{TokenURL: address}
	if err := checkURL(a.Name, "token_url", address); err != nil {
		return err
	}
	try := attempt{client: c, endpoint: e, account: a}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		return try.notSent("the request could not be built")
	}
	gate, way := &gate{before: func() error { return errReached }}, newRoute(a)
	transport, err := c.transport(gate, way, a, nil)
	if err != nil {
		return try.notSent(err.Error())
	}
	resp, err := transport.RoundTrip(req.WithContext(traced(ctx, gate, way)))
	if err == nil { // nobody answers what was not sent
		_ = resp.Body.Close()
		return nil
	}
	if gate.fault() != nil {
		return nil
	}
	return try.notSent(way.reason(err, e.host()))
}

// ProxyTo names the proxy by which an address is reached for an account, without the
// password; "": none, or nobody can tell.
func ProxyTo(a sdk.Account, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	proxy, err := newRoute(a).choose(&http.Request{URL: u})
	switch {
	case err != nil:
		return "(unusable)"
	case proxy == nil:
		return ""
	}
	return proxy.Host
}
