package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// A request that was sent and got no whole answer is ambiguous, and is never
// sent again.
func TestNoWholeAnswer(t *testing.T) {
	tests := map[string]func(net.Conn){
		"closed":             func(net.Conn) {},
		"reset":              func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"silent":             untilHangup,
		"half a status line": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 20") },
		"no HTTP":            func(c net.Conn) { _, _ = io.WriteString(c, canaryBody+"\r\n\r\n") },
		"no body":            func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n") },
		"half a body": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"+goodAnswer[:50])
		},
		"half a chunk": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n"+goodAnswer[:50])
		},
		"half a refusal": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 90\r\n\r\n{\"error\":")
		},
		"silent in mid-answer": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")
			untilHangup(c)
		},
		"endless header":         func(c net.Conn) { endless(c, "HTTP/1.1 200 OK\r\nX: ") },
		"the request was misled": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+canaryRefresh+"\r\n\r\n") },
	}
	for name, talk := range tests {
		t.Run(name, func(t *testing.T) {
			timeout := time.Minute
			if strings.HasPrefix(name, "silent") { // nothing else ends it
				timeout = 300 * time.Millisecond
			}
			s, err := outlasted(t, talk, timeout)
			wantKind(t, err, sdk.KindAmbiguous)
			waittest.Until(t, "the server has read the request", func() bool { return s.count() > 0 })
			if s.count() != 1 {
				t.Errorf("the server saw %d requests, want 1", s.count())
			}
		})
	}
}

// outlasted makes a request that is sent before its time is over, for which it takes
// more of it where a busy machine needs that.
func outlasted(t *testing.T, talk func(net.Conn), timeout time.Duration) (*raw, error) {
	t.Helper()
	for late := waittest.Late(t); ; timeout *= 2 {
		s := serveRaw(t, talk)
		e := endpointAt(s.url)
		e.Timeout = timeout
		_, err := refresh(t, e)
		if sdk.KindOf(err) != sdk.KindNotSent || s.count() > 0 {
			return s, err
		}
		select {
		case <-late:
			return s, err
		default:
		}
	}
}

func untilHangup(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func endless(c net.Conn, start string) {
	_, err := io.WriteString(c, start)
	for err == nil {
		_, err = c.Write(make([]byte, 64<<10))
	}
}

// A whole JSON object in a body that was cut is whole.
func TestCutBehindTheToken(t *testing.T) {
	s := serveRaw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"+goodAnswer)
	})
	token, err := refresh(t, endpointAt(s.url))
	if err != nil {
		t.Fatal(err)
	}
	if token.RefreshToken.Reveal() != "next" {
		t.Error("the new refresh token is lost")
	}
}

// What provably never left is not_sent.
func TestNotSent(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request came through an untrusted connection")
	}))
	untrusted.Config.ErrorLog = nil
	defer untrusted.Close()
	// It answers the TLS greeting with the end of the connection.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		for {
			conn, err := mute.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	unresolved := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "broker.invalid", IsNotFound: true}}
	}
	hanging := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := map[string]struct {
		client Client
		url    string
	}{
		"connection refused": {url: "http://" + nobody(t)},
		"untrusted TLS":      {url: untrusted.URL},
		"TLS cut short":      {url: "https://" + mute.Addr().String()},
		"no such host":       {client: Client{Dial: unresolved}, url: "https://broker.invalid"},
		"dial hangs":         {client: Client{Dial: hanging}, url: "https://broker.invalid"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := endpointAt(tt.url)
			e.Timeout = time.Second
			_, err := tt.client.Refresh(t.Context(), e, refreshRequest())
			wantKind(t, err, sdk.KindNotSent)
			t.Log(err)
		})
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(answerWith(200, "application/json", goodAnswer))
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	ctx, slot, _ := withSlot(t, t.TempDir())
	c := Client{RootCAs: pool}
	if _, err := c.Refresh(ctx, endpointAt(s.URL), refreshRequest()); err != nil {
		t.Fatal(err)
	}
	if _, ok := slot.Answer(); !ok {
		t.Error("the answer is not in the spool")
	}
}

// Each attempt has a connection of its own, which it closes.
func TestNoConnectionIsKept(t *testing.T) {
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	dials := 0
	c := Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	for range 3 {
		if _, err := c.Refresh(t.Context(), endpointAt(s.URL), refreshRequest()); err != nil {
			t.Fatal(err)
		}
	}
	if dials != 3 {
		t.Errorf("%d connections for 3 attempts", dials)
	}
	for _, r := range s.posts {
		if !r.Close {
			t.Error("the request offers to keep the connection")
		}
	}
}

func TestRedirectLeadsNowhere(t *testing.T) {
	thief := serve(t, answerWith(200, "application/json", goodAnswer))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, answerWith(status, "", "", "Location", thief.URL))
		_, err := refresh(t, endpointAt(s.URL))
		wantKind(t, err, sdk.KindTransient)
		if s.count() != 1 || thief.count() != 0 {
			t.Fatalf("HTTP %d: %d requests, %d at the target", status, s.count(), thief.count())
		}
	}
}

func TestSecondPostIsRefused(t *testing.T) {
	s := serve(t, answerWith(500, "", ""))
	post := &onePost{attempt: attempt{client: &Client{}, endpoint: endpointAt(s.URL), account: account()}}
	req, _ := http.NewRequest(http.MethodPost, s.URL, http.NoBody)
	_, first := post.RoundTrip(req)
	_, second := post.RoundTrip(req)
	if first == nil || !errors.Is(second, errSecondPost) || s.count() != 1 {
		t.Errorf("first %v, second %v, %d requests", first, second, s.count())
	}
}

// A provider that calls once more in the same attempt, after the first call or beside
// it, sends the token no second time. What was not sent may be tried again.
func TestSecondCallOfAnAttemptSendsNothing(t *testing.T) {
	ctx, slot, _ := withSlot(t, t.TempDir())
	beside := make(chan error, 1)
	var calls atomic.Int32
	var c *Client
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			_, err := c.Refresh(ctx, endpointAt("http://"+r.Host), refreshRequest())
			beside <- err
		}
		panic(http.ErrAbortHandler)
	})
	refused := errors.New("refused")
	c = &Client{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}
	_, err := c.Refresh(ctx, endpointAt(s.URL), refreshRequest())
	wantKind(t, err, sdk.KindNotSent)
	c = &Client{}
	for range 2 {
		_, err := c.Refresh(ctx, endpointAt(s.URL), refreshRequest())
		wantKind(t, err, sdk.KindAmbiguous)
	}
	wantKind(t, <-beside, sdk.KindAmbiguous)
	if slot.Progress() != spool.Sent || s.count() != 1 {
		t.Errorf("%d requests, and the slot says %s", s.count(), slot.Progress())
	}

	// Two at the same time: the one that comes later to its first byte.
	ctx, _, _ = withSlot(t, t.TempDir())
	both := make(chan struct{}, 2)
	s = serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	c = &Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		both <- struct{}{}
		for len(both) < cap(both) {
			runtime.Gosched()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	errs := make(chan error)
	for range cap(both) {
		go func() {
			_, err := c.Refresh(ctx, endpointAt(s.URL), refreshRequest())
			errs <- err
		}()
	}
	for range cap(both) {
		wantKind(t, <-errs, sdk.KindAmbiguous)
	}
	if s.count() != 1 {
		t.Errorf("two calls at the same time made %d requests", s.count())
	}
}
