package oauth

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

const (
	proxyUser     = "Basic dXNlcjpjYW5hcnktcHJveHk=" // user:canary-proxy
	canaryProxied = "user:canary-proxy@"
)

// listen hands each connection to talk, until the test is over.
func listen(t *testing.T, talk func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				// Go's client waits a minute for a proxy, also when nobody waits for it.
				defer context.AfterFunc(t.Context(), func() { _ = conn.Close() })()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

// answering is a proxy that answers every CONNECT the same.
func answering(t *testing.T, answer string) string {
	return listen(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, answer)
		}
	})
}

// passing is a proxy that lets a user through who names the right password, and waits
// for the end of both sides.
func passing(t *testing.T) string {
	return listen(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		if req.Header.Get("Proxy-Authorization") != proxyUser {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nX: "+canaryBody+"\r\n\r\n")
			return
		}
		to, err := net.Dial("tcp", req.Host)
		if err != nil {
			return
		}
		defer to.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(to, conn)
			_ = to.Close()
		}()
		_, _ = io.Copy(conn, to)
	})
}

// socks answers a greeting and a request (RFC 1928) with those bytes.
func socks(t *testing.T, greeting, answer string) string {
	return listen(t, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, greeting)
		if answer == "" {
			return
		}
		if _, err := io.ReadFull(conn, make([]byte, 10)); err == nil { // a request with an address of four bytes
			_, _ = io.WriteString(conn, answer)
		}
	})
}

// nobody is an address that refuses connections. It stays bound, so that nobody gets it
// while the test runs.
func nobody(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", addr.(*unix.SockaddrInet4).Port)
}

func throughProxy(proxy string) sdk.RefreshRequest {
	req := refreshRequest()
	req.Account.Settings = map[string]string{SettingProxy: proxy}
	return req
}

// A failure on the way is told of the party at fault, and what the proxy has not let
// through was not sent.
func TestProxyIsToldAsTheProxy(t *testing.T) {
	broker := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request came through")
	}))
	defer broker.Close()
	host := strings.TrimPrefix(broker.URL, "https://")
	pool := x509.NewCertPool()
	pool.AddCert(broker.Certificate())
	wrong := passing(t)
	for name, tt := range map[string]struct{ proxy, want string }{
		"wants a password":     {"http://" + wrong, "wants a user and a password (HTTP 407): write them into its address"},
		"wants another one":    {"http://user:canary-other@" + wrong, "does not take the user and the password of its address (HTTP 407)"},
		"refuses":              {"http://" + canaryProxied + answering(t, "HTTP/1.1 403 "+canaryBody+"\r\n\r\n"), "opens no way to " + host + ": it answered HTTP 403"},
		"can't reach it":       {"http://" + answering(t, "HTTP/1.1 502 Bad Gateway\r\n\r\n"), "opens no way to " + host + ": it answered HTTP 502"},
		"is dead":              {"http://" + canaryProxied + nobody(t), "can't be used: connection refused"},
		"hangs":                {"http://" + listen(t, untilHangup), "can't be used: it took too long"},
		"hangs up":             {"http://" + answering(t, ""), "can't be used: the connection was closed"},
		"is no proxy":          {"http://" + answering(t, "220 "+canaryBody+" ESMTP\r\n"), "does not speak the protocol of its address"},
		"speaks no TLS":        {"https://" + answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "can't be used: "},
		"SOCKS and a user":     {"socks5://" + socks(t, "\x05\xff", ""), "opens no way to " + host + ": it does not take the user and the password of its address, or wants some"},
		"SOCKS and no way":     {"socks5://" + socks(t, "\x05\x00", "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"), "opens no way to " + host + ": it answered connection refused"},
		"SOCKS and a stranger": {"socks5://" + socks(t, "HTTP", ""), "does not speak the protocol of its address"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, slot, _ := withSlot(t, t.TempDir())
			e := endpointAt(broker.URL)
			if e.Timeout = time.Minute; name == "hangs" {
				e.Timeout = time.Second
			}
			req := throughProxy(tt.proxy)
			_, err := (&Client{RootCAs: pool}).Refresh(ctx, e, req)
			wantKind(t, err, sdk.KindNotSent)
			at := tt.proxy[strings.LastIndexAny(tt.proxy, "/@")+1:]
			if want := "nothing was sent to " + host + ": the proxy " + at + " (setting proxy) " + tt.want; !strings.Contains(err.Error(), want) {
				t.Errorf("got:  %v\nwant: %s", err, want)
			}
			if slot.Progress() == spool.Sent {
				t.Error("the attempt is marked as sent")
			}
			err = (&Client{RootCAs: pool}).Reach(contextOf(t, e.Timeout), req.Account, e.TokenURL)
			wantKind(t, err, sdk.KindNotSent)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("tried: %v", err)
			}
		})
	}
}

func contextOf(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// What comes back through a proxy is the broker's, and a request that has left is
// ambiguous as without one.
func TestThroughAProxy(t *testing.T) {
	var talk atomic.Pointer[http.HandlerFunc]
	var requests atomic.Int64
	broker := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		(*talk.Load())(w, r)
	}))
	defer broker.Close()
	pool := x509.NewCertPool()
	pool.AddCert(broker.Certificate())
	proxy := passing(t)
	req := throughProxy("http://" + canaryProxied + proxy)

	good := answerWith(200, "application/json", goodAnswer)
	talk.Store(&good)
	if token, err := (&Client{RootCAs: pool}).Refresh(t.Context(), endpointAt(broker.URL), req); err != nil || token.RefreshToken.Reveal() != "next" {
		t.Fatalf("a good answer: %v", err)
	}
	if err := (&Client{RootCAs: pool}).Reach(t.Context(), req.Account, broker.URL+"/token"); err != nil || requests.Load() != 1 {
		t.Errorf("tried: %v, %d requests", err, requests.Load())
	}
	if got := ProxyTo(req.Account, broker.URL); got != proxy {
		t.Errorf("by way of %q, want %q", got, proxy)
	}
	req.Account.Settings[SettingProxy] = noProxy
	if got := ProxyTo(req.Account, "https://broker.example"); got != "" {
		t.Errorf("none is %q", got)
	}
	req.Account.Settings[SettingProxy] = "http://" + canaryProxied + proxy

	hangsUp := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	talk.Store(&hangsUp)
	_, err := (&Client{RootCAs: pool}).Refresh(t.Context(), endpointAt(broker.URL), req)
	wantKind(t, err, sdk.KindAmbiguous)
	if want := " (by way of the proxy " + proxy + ")"; !strings.Contains(err.Error(), "and no answer came: ") || !strings.HasSuffix(err.Error(), want) || requests.Load() != 2 {
		t.Errorf("%d requests, %v, want %s", requests.Load(), err, want)
	}

	_, err = (&Client{RootCAs: x509.NewCertPool()}).Refresh(t.Context(), endpointAt(broker.URL), req)
	wantKind(t, err, sdk.KindNotSent)
	for _, want := range []string{"its TLS certificate is not trusted: x509: certificate signed by unknown authority", "looks into TLS, name its authority by ca_file", "(by way of the proxy " + proxy + ")"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestProxyThatIsNone(t *testing.T) {
	for _, raw := range []string{"proxy:3128", "//proxy", "ftp://canary-proxy@proxy", "http://", "http://canary\x7f",
		"http://user:12#canary@127.0.0.1:9", "http://user:12/canary@127.0.0.1:9", "http://user:12?canary@127.0.0.1:9", "http://user:12?"} {
		_, err := (&Client{}).Refresh(t.Context(), endpointAt("https://broker.invalid"), throughProxy(raw))
		wantKind(t, err, sdk.KindInvalidClient)
		if !strings.Contains(err.Error(), "the setting proxy is not the address of a proxy") || strings.Contains(err.Error(), "user:12") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// TestProxyOfTheEnvironmentThatIsNone: a password that ends the address early is not
// shown, and not looked up. Package http reads the environment once in a process.
func TestProxyOfTheEnvironmentThatIsNone(t *testing.T) {
	const raw = "http://user:12#canary@127.0.0.1:9"
	if os.Getenv("HTTPS_PROXY") != raw {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "HTTPS_PROXY="+raw, "HTTP_PROXY="+raw, "https_proxy=", "http_proxy=", "NO_PROXY=", "no_proxy=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for scheme, variable := range map[string]string{"https": "HTTPS_PROXY", "http": "HTTP_PROXY"} {
		_, err := (&Client{}).Refresh(t.Context(), endpointAt(scheme+"://broker.invalid"), refreshRequest())
		wantKind(t, err, sdk.KindNotSent)
		if want := "the address of the proxy (" + variable + " in the environment) can't be used"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "user:12") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
