package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// transport is made anew for each attempt: it holds one connection, which is
// closed with the answer. HTTP/2 is off because its transport sends a request
// again by itself when the server refuses a stream. A GET, too, is sent once:
// [http.Transport] repeats one only over a connection that it has kept.
func (c *Client) transport(g *gate, certificate *tls.Certificate) *http.Transport {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	trust := &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		trust.Certificates = []tls.Certificate{*certificate}
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &gatedConn{Conn: conn, gate: g}, nil
		},
		TLSClientConfig:        trust,
		Protocols:              &http1,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// gate stands between an attempt and its first byte on the wire. It is armed
// when the connection is ready (after a proxy's CONNECT and the TLS handshake,
// which may fail freely); the first write after that notes in the spool that
// the request is being sent, and goes ahead only if the note is there.
type gate struct {
	before func() error // may be nil

	mu    sync.Mutex
	armed bool
	sent  bool
	err   error
}

func (g *gate) arm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = true
}

func (g *gate) pass() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.armed || g.sent || g.err != nil {
		return g.err
	}
	if g.before != nil {
		g.err = g.before()
	}
	g.sent = g.err == nil
	return g.err
}

// passed says whether anything of the request can have left this process.
func (g *gate) passed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent
}

func (g *gate) fault() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if err := c.gate.pass(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if c.gate.passed() {
		crashpoint.Here("oauth: the request is written")
	}
	return n, err
}

// reason says in words of our own why a request failed. The texts of net/http
// are not used: they quote what the server sent.
func reason(err error) string {
	var (
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		host  x509.HostnameError
		rec   tls.RecordHeaderError
		errno syscall.Errno
		timeo interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host name " + dns.Name + " does not exist"
	case errors.As(err, &cert):
		return "its TLS certificate is not trusted: " + cert.Err.Error()
	case errors.As(err, &host):
		return "its TLS certificate is for another host"
	case errors.As(err, &rec):
		return "it does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeo) && timeo.Timeout():
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "the attempt was cancelled"
	case errors.As(err, &dns):
		return "the host name " + dns.Name + " can't be looked up"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	}
	return "the connection failed or its content is no HTTP"
}
