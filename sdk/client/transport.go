package client

import (
	"context"
	"io"
	"net/http"
)

// Transport is for clients of the broker's API: it sends each request through
// base (nil: [http.DefaultTransport]) with the account's newest token in the
// Authorization header.
//
// If the answer is 401 and there is a newer token by then, or [WithNewerAfter401]
// brings one, the request is sent once more with that one, provided that its body
// can be had again (see [http.Request.GetBody]). A redirect to another scheme, host or port goes
// there without the token.
func (c *Client) Transport(account string, base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base: base, source: &source{client: c, account: account}}
}

type transport struct {
	base   http.RoundTripper
	source *source
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if strayed(req) {
		return t.base.RoundTrip(req)
	}
	tok, err := t.source.token(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(authorized(req, tok))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	again, ok := t.newer(req.Context(), req, tok)
	if !ok {
		return resp, nil
	}
	// So much is read that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxError)
	_ = resp.Body.Close()
	return t.base.RoundTrip(again)
}

// newer returns the request with a newer token than the one that was refused.
func (t *transport) newer(ctx context.Context, req *http.Request, refused Token) (*http.Request, bool) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return nil, false
	}
	tok, err := t.source.token(ctx)
	if err == nil && tok.Version == refused.Version && t.source.client.after401 {
		tok, err = t.source.client.NewerToken(ctx, t.source.account, refused)
	}
	if err != nil || tok.Version == refused.Version {
		return nil, false
	}
	again := authorized(req, tok)
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, false
		}
	}
	return again, true
}

// authorized returns a copy: a RoundTripper must not change its request.
func authorized(req *http.Request, tok Token) *http.Request {
	req = req.Clone(req.Context())
	tok.oauth2().SetAuthHeader(req)
	return req
}

// strayed says whether redirects have led the request away from where the
// program sent it.
func strayed(req *http.Request) bool {
	first := req
	for first.Response != nil {
		if first = first.Response.Request; first == nil {
			return true // base does not tell: assume the worse
		}
	}
	return first.URL.Scheme != req.URL.Scheme || first.URL.Host != req.URL.Host
}
