package oauth

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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

func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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
			e.Timeout = time.Second
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
			err = (&Client{RootCAs: pool}).Reach(contextOf(t, time.Second), req.Account, e.TokenURL)
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

// TestCertificatesAreNotQuoted: whoever answers has written the names in a certificate.
func TestCertificatesAreNotQuoted(t *testing.T) {
	const stranger = "canary-subject"
	theirs := &x509.Certificate{Subject: pkix.Name{CommonName: stranger}}
	sign := func(template x509.Certificate) *x509.Certificate { // each by a key of its own
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(nil, &template, &template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	of := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: theirs.Subject, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	sent := x509.NewCertPool()
	sent.AddCert(sign(of))
	_, unknown := sign(of).Verify(x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: sent})
	if unknown == nil || !strings.Contains(unknown.Error(), stranger) {
		t.Fatalf("nothing to hide in %v", unknown)
	}
	for want, err := range map[string]error{
		"signed by unknown authority": unknown,
		"not authorized to sign":      x509.CertificateInvalidError{Cert: theirs, Reason: x509.CANotAuthorizedForThisName, Detail: stranger},
		"is after 2026":               x509.CertificateInvalidError{Cert: theirs, Reason: x509.Expired, Detail: "current time is after 2026"},
		"can't verify it":             errors.New(stranger),
	} {
		got := reason(&tls.CertificateVerificationError{Err: err})
		if !strings.Contains(got, "its TLS certificate is not trusted: ") || !strings.Contains(got, want) || strings.Contains(got, stranger) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

// The authorities of a setting take the place of the machine's, and are read for each
// attempt.
func TestAuthoritiesOfASetting(t *testing.T) {
	s := httptest.NewTLSServer(answerWith(200, "application/json", goodAnswer))
	defer s.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.pem")
	req := refreshRequest()
	req.Account.Settings = map[string]string{SettingCAFile: file}
	refused := func(want string) {
		t.Helper()
		_, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), req)
		wantKind(t, err, sdk.KindNotSent)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	refused("the setting ca_file can't be read: stat " + file + ": no such file or directory")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("it is a pipe (FIFO) and no file")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte(canaryBody))
	refused("the setting ca_file names " + file + ", which holds no certificate in PEM")
	if fault := CAFault(file); !strings.Contains(fault, "holds no certificate in PEM") {
		t.Errorf("fault %q", fault)
	}
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if _, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), req); err != nil || CAFault(file) != "" {
		t.Error(err, CAFault(file))
	}
	t.Chdir(dir)
	req.Account.Settings[SettingCAFile] = "ca.pem"
	_, err := (&Client{}).Refresh(t.Context(), endpointAt(s.URL), req)
	wantKind(t, err, sdk.KindInvalidClient)
	if want := "the setting ca_file is not an absolute path"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TLS is spoken where http is, and the other way round; or a version that nobody should
// speak any more.
func TestTLSWhereItIsNot(t *testing.T) {
	https := httptest.NewTLSServer(answerWith(200, "application/json", goodAnswer))
	defer https.Close()
	plain := httptest.NewServer(answerWith(200, "application/json", goodAnswer))
	defer plain.Close()
	old := httptest.NewUnstartedServer(answerWith(200, "application/json", goodAnswer))
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	picky := httptest.NewUnstartedServer(answerWith(200, "application/json", goodAnswer))
	picky.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	picky.StartTLS()
	defer picky.Close()
	pool := x509.NewCertPool()
	pool.AddCert(picky.Certificate())
	alert := serveRaw(t, func(c net.Conn) { _, _ = io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x0a") })
	for name, tt := range map[string]struct {
		url  string
		kind sdk.Kind
		want string
	}{
		"https to http":        {strings.Replace(plain.URL, "http:", "https:", 1), sdk.KindNotSent, "it speaks http on this port, and no TLS"},
		"http to https":        {strings.Replace(https.URL, "https:", "http:", 1), sdk.KindTransient, "answered HTTP 400, which is no OAuth error: it speaks TLS on this port"},
		"http to TLS":          {alert.url, sdk.KindAmbiguous, "no answer came: it speaks TLS on this port: write https://"},
		"a version before 1.2": {old.URL, sdk.KindNotSent, "it speaks no TLS from version 1.2 on"},
		"wants a certificate":  {picky.URL, sdk.KindNotSent, "it ended the TLS handshake: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&Client{RootCAs: pool}).Refresh(t.Context(), endpointAt(tt.url), refreshRequest())
			wantKind(t, err, tt.kind)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// Who answers in the place of a token endpoint is named, and the kind of the failure is
// as without that.
func TestStrangersAreNamed(t *testing.T) {
	const html = "<!DOCTYPE html><title>" + canaryBody + "</title>"
	for name, tt := range map[string]struct {
		status            int
		contentType, body string
		kind              sdk.Kind
		want              string
	}{
		"a portal's page":         {200, "text/html", html, sdk.KindAmbiguous, "answered HTTP 200 without a token: a web page in the place of JSON; it is from a network that wants a login first (captive portal)"},
		"a page that is no JSON":  {200, "application/json", html, sdk.KindAmbiguous, "a web page in the place of JSON"},
		"a firewall's page":       {403, "text/html", html, sdk.KindTransient, "answered HTTP 403, which is no OAuth error: a web page in the place of JSON"},
		"a portal by its status":  {511, "text/html", html, sdk.KindTransient, "this network wants a login first (captive portal)"},
		"a redirect":              {302, "", "", sdk.KindTransient, "a redirect, which is not followed"},
		"a proxy's page":          {407, "text/html", html, sdk.KindTransient, "a proxy on the way wants a user and a password"},
		"nginx's word on TLS":     {400, "text/html", "<center>The plain HTTP request was sent to HTTPS port</center>", sdk.KindTransient, "it speaks TLS on this port"},
		"the broker's own outage": {502, "text/html", html, sdk.KindTransient, "answered HTTP 502, which is no OAuth error; it will be tried again"},
		"JSON of another kind":    {404, "application/json", `{"x":1}`, sdk.KindTransient, "answered HTTP 404, which is no OAuth error; it will be tried again"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answerWith(tt.status, tt.contentType, tt.body, "Location", "https://"+canaryBody))
			_, err := refresh(t, endpointAt(s.URL))
			wantKind(t, err, tt.kind)
			if !strings.Contains(err.Error(), tt.want) || s.count() != 1 {
				t.Errorf("%d requests, got %v, want %s", s.count(), err, tt.want)
			}
		})
	}
}
