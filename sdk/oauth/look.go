package oauth

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Sight is what a server shows to a request that asks for nothing.
type Sight struct {
	Status int
	// Ahead is by how much the server's clock is ahead of ours, negative if ours is:
	// what neither the whole seconds of its Date nor the time of the request explain.
	// Dated is false if the server has not told its time.
	Ahead time.Duration
	Dated bool
	// CertificateEnds is when the first certificate ends of those that the server has
	// shown; not set: it speaks http.
	CertificateEnds time.Time
}

// LookError says in words of ours why there is nothing to be seen. What it wraps is for
// [errors.As] alone, and is not to be shown.
type LookError struct {
	Host, Reason string
	err          error
}

func (e *LookError) Error() string { return e.Host + " can't be reached: " + e.Reason }
func (e *LookError) Unwrap() error { return e.err }

// Look asks a server for the head of what is at an address, by the way of an account: its
// proxy and its authorities. Nothing of the account is sent, and so any answer will do.
func (c *Client) Look(ctx context.Context, a sdk.Account, address string) (Sight, error) {
	if err := checkURL(a.Name, "token_url", address); err != nil {
		return Sight{}, err
	}
	e := Endpoint{TokenURL: address}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return Sight{}, &LookError{e.host(), "the request could not be built", nil}
	}
	req.Header.Set("User-Agent", "tokenkeeper")
	gate, way := &gate{}, newRoute(a)
	transport, err := c.transport(gate, way, a, nil)
	if err != nil {
		return Sight{}, &LookError{e.host(), err.Error(), err}
	}
	sent := time.Now()
	resp, err := transport.RoundTrip(req.WithContext(traced(ctx, gate, way)))
	if err != nil {
		return Sight{}, &LookError{e.host(), way.reason(err, e.host()), err}
	}
	received := time.Now()
	_ = resp.Body.Close()
	s := Sight{Status: resp.StatusCode}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		s.Ahead, s.Dated = ahead(date, sent, received), true
	}
	if resp.TLS != nil {
		for _, chain := range resp.TLS.VerifiedChains { // what else a server sends means nothing
			if ends := endOf(chain); ends.After(s.CertificateEnds) {
				s.CertificateEnds = ends
			}
		}
	}
	return s, nil
}

// endOf is when the first certificate of a chain ends.
func endOf(chain []*x509.Certificate) (ends time.Time) {
	for _, certificate := range chain {
		if ends.IsZero() || certificate.NotAfter.Before(ends) {
			ends = certificate.NotAfter
		}
	}
	return ends
}

// ahead is by how much a clock is ahead of ours that has shown date, in whole seconds,
// at some moment between the two.
func ahead(date, sent, received time.Time) time.Duration {
	switch {
	case date.After(received):
		return date.Sub(received)
	case date.Add(time.Second).Before(sent):
		return date.Add(time.Second).Sub(sent)
	}
	return 0
}
