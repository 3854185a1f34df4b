package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// transport is made anew for each attempt: it holds one connection, which is
// closed with the answer. HTTP/2 is off because its transport sends a request
// again by itself when the server refuses a stream. A GET, too, is sent once:
// [http.Transport] repeats one only over a connection that it has kept.
func (c *Client) transport(g *gate, way *route, a sdk.Account, certificate *tls.Certificate) (*http.Transport, error) {
	roots, err := c.roots(a)
	if err != nil {
		return nil, err
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		trust.Certificates = []tls.Certificate{*certificate}
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  way.choose,
		OnProxyConnectResponse: way.answered,
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
	}, nil
}

// traced has gate and way told how far the connection is.
func traced(ctx context.Context, g *gate, way *route) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart:    way.greeting,
		GotConn:              func(httptrace.GotConnInfo) { way.open(); g.arm() },
		GotFirstResponseByte: func() { crashpoint.Here("oauth: the answer begins") },
	})
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
	// first is what the connection's first read brought.
	first []byte
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

// Read notes what the other end says first: it may be none that the request is for.
func (c *gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.gate.hear(b[:n])
	return n, err
}

// enough of an answer tells TLS from HTTP.
const enough = 3

func (g *gate) hear(b []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.first == nil && len(b) > 0 {
		g.first = append(g.first, b[:min(len(b), enough)]...)
	}
}

// metTLS says whether the first that came was an alert of TLS (RFC 8446, section 5.1).
func (g *gate) metTLS() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	const alert, version = 21, 3
	return len(g.first) >= 2 && g.first[0] == alert && g.first[1] == version
}

// unclear is what [reason] says where nothing is known.
const unclear = "the connection failed or its content is no HTTP"

// oldTLS is what package tls says where both sides have no version in common.
func oldTLS(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server selected unsupported protocol version") || strings.Contains(text, "protocol version not supported")
}

// certificateFault is what package x509 says of a certificate, without the names that
// its holder has written into it.
func certificateFault(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case !errors.As(err, &invalid):
		return "x509 can't verify it"
	case invalid.Reason != x509.Expired: // whose details are dates
		invalid.Detail = ""
	}
	return strings.TrimSuffix(invalid.Error(), ": ")
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
		other x509.UnknownAuthorityError
		op    *net.OpError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host name " + dns.Name + " does not exist"
	case errors.As(err, &host):
		return "its TLS certificate is for another host; a network that wants a login first (captive portal) answers so, too"
	case errors.As(err, &other):
		return "its TLS certificate is not trusted: x509: certificate signed by unknown authority; if a proxy or a firewall on the way looks into TLS, name its authority by " + SettingCAFile
	case errors.As(err, &cert):
		return "its TLS certificate is not trusted: " + certificateFault(cert.Err)
	case errors.As(err, &rec) && string(rec.RecordHeader[:]) == "HTTP/":
		return "it speaks http on this port, and no TLS: correct its address, or its port"
	case errors.As(err, &rec):
		return "it does not speak TLS"
	case oldTLS(err):
		return "it speaks no TLS from version 1.2 on, and older ones are not safe"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeo) && timeo.Timeout():
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "the attempt was cancelled"
	case errors.As(err, &dns):
		return "the host name " + dns.Name + " can't be looked up"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &op) && op.Op == "remote error" && fmt.Sprintf("%T", op.Err) == "tls.alert": // one of the texts of RFC 8446, section 6
		return "it ended the TLS handshake: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	}
	return unclear
}
