// Package webclient makes requests to a receiver that the configuration names: through
// its proxy, by its certificates, and without following a redirect. No error of it tells
// anything of the address, the proxy's address but its host, the headers and what the receiver sent:
// all of them may hold secrets.
package webclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/authorities"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keypair"
)

// Config is the way to one receiver.
type Config struct {
	// RootCAs that the receiver's certificate is checked with; nil: those in
	// CAFile, or the machine's, as soon as there are any.
	RootCAs *x509.CertPool
	// CAFile, in PEM, is read once, before the first connection.
	CAFile string
	// CertFile and KeyFile, in PEM, are shown to the receiver (mutual TLS).
	// They are read again when one of them has changed.
	CertFile, KeyFile string
	// Proxy is the URL of an HTTP or SOCKS 5 proxy, which may hold a password;
	// zero: what the environment says ([http.ProxyFromEnvironment]).
	// [config.NoProxy]: none.
	Proxy sdk.Secret
	// Timeout is what the context of each request holds to: how long it may take.
	Timeout time.Duration
}

// Client makes requests to one receiver. It is safe for concurrent use.
type Client struct {
	cfg   Config
	proxy func(*http.Request) (*url.URL, error)
	pair  *keypair.Pair // nil: none is shown
	// believes: the machine has certificate authorities, and they are believed.
	believes atomic.Bool

	mu     sync.Mutex
	client *http.Client // nil until the files have been read
}

// New checks cfg. It connects to nothing and reads no file: one that is missing is
// missing for the requests of this Client alone.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("cert_file and key_file belong together: set both or none")
	}
	if cfg.CertFile != "" {
		c.pair = keypair.New(keypair.File{Key: "cert_file", Path: cfg.CertFile}, keypair.File{Key: "key_file", Path: cfg.KeyFile})
	}
	var err error
	if c.proxy, err = proxyOf(cfg.Proxy); err != nil {
		return nil, err
	}
	return c, nil
}

// Do makes one request. The caller closes the answer's body.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	client, err := c.connector()
	if err != nil {
		return nil, err
	}
	if c.cfg.RootCAs == nil && c.cfg.CAFile == "" && req.URL.Scheme == "https" && !c.believes.Load() {
		c.believes.Store(authorities.BelieveMachine())
	}
	by := c.way(req)
	resp, err := client.Do(req)
	if err != nil {
		return nil, explain(req.Context(), by, err, c.cfg.Timeout)
	}
	if by.proxied && resp.StatusCode == http.StatusProxyAuthRequired { // no receiver says so
		_ = resp.Body.Close()
		return nil, by.refused(resp.StatusCode)
	}
	return resp, nil
}

// idleTimeout of a connection: long enough for all accounts of a start to use
// it, short enough that none is kept between refreshes.
const idleTimeout = 5 * time.Second

// maxIdle connections are kept for that long: as many as deliveries may be in
// flight, or those beyond it would each open one anew.
const maxIdle = 1024

// silence on an HTTP/2 connection after which the receiver is asked for a sign
// of life, and given as long for it. Without that, a connection that died with
// no farewell would take every delivery with it while there is always one on
// the way.
const silence = 5 * time.Second

// connector returns the client, which it makes once the files can be read.
func (c *Client) connector() (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	roots := c.cfg.RootCAs
	if roots == nil && c.cfg.CAFile != "" {
		var err error
		if roots, err = authorities.Read(c.cfg.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file %w", err)
		}
	}
	security := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if c.pair != nil {
		// Without a reason to show it no handshake would tell that it is
		// unusable.
		if _, err := c.pair.Current(); err != nil {
			return nil, err
		}
		security.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.pair.Current() }
	}
	c.client = newClient(security, c.proxy)
	return c.client, nil
}

// newClient returns one that follows no redirect and keeps no connection for
// long.
func newClient(security *tls.Config, proxy func(*http.Request) (*url.URL, error)) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  proxy,
			OnProxyConnectResponse: proxyAnswered,
			TLSClientConfig:        security,
			ForceAttemptHTTP2:      true,
			IdleConnTimeout:        idleTimeout,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence},
			MaxIdleConnsPerHost:    maxIdle,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}
