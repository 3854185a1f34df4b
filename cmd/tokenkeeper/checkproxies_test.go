package main

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestCheckTriesProxies: a proxy that wants a password, or is dead, is found by check and
// told as the proxy; each is asked once, and nothing of a password is shown.
func TestCheckTriesProxies(t *testing.T) {
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var asked atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && req.Method == http.MethodConnect {
				asked.Add(1)
				_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
			}
			_ = conn.Close()
		}
	}()
	const dead = "127.0.0.1:1" // nobody is given this port
	w := newWorld(t, fmt.Sprintf(`providers:
  saxo: {settings: {proxy: "http://me:canary-pw@%s"}}
accounts:
  one: {provider: saxo, client_id: id, client_secret: "${env:TK_TEST_SECRET}", redirect_url: "http://localhost/x"}
  two: {provider: saxo, client_id: id, client_secret: "${env:TK_TEST_SECRET}", redirect_url: "http://localhost/x"}
  three:
    provider: schwab
    client_id: id
    client_secret: "${env:TK_TEST_SECRET}"
    redirect_url: "https://127.0.0.1:8182"
    settings:
      proxy: http://%s
sinks:
  all: {type: unixsocket, path: all.sock}
`, l.Addr(), dead))
	got := command(t, "", "check", "-c", w.config)
	for _, want := range []string{
		w.config + ":6: accounts.one: nothing was sent to sim.logonvalidation.net: the proxy " + l.Addr().String() +
			" (setting proxy) does not take the user and the password of its address (HTTP 407)\n",
		w.config + ":14: accounts.three: nothing was sent to api.schwabapi.com: the proxy " + dead + " (setting proxy) can't be used: connection refused\n",
		"\nit can run; 2 warnings, see above\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if got.code != exitOK || asked.Load() != 1 || strings.Contains(got.stdout+got.stderr, "canary") {
		t.Errorf("exit code %d, asked %d times:\n%s%s", got.code, asked.Load(), got.stdout, got.stderr)
	}
	write(t, w.config, "accounts:\n  one: {provider: schwab, client_id: id, client_secret: s, settings: {proxy: \"canary-pw@proxy\"}}\n")
	got = command(t, "", "check", "-c", w.config)
	if want := "accounts.one.settings.proxy: is not the address of a proxy, like http://proxy.example:3128"; got.code != exitUsage || !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, "canary") {
		t.Errorf("exit code %d, without %q:\n%s", got.code, want, got.stdout)
	}
}

// TestCheckReadsAuthorities: a ca_file that can't work is a problem with its place at
// check; run starts without it, as one account alone needs it and it may come.
func TestCheckReadsAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	s.Close()
	w := newWorld(t, "")
	good, text, gone := filepath.Join(w.dir, "good.pem"), filepath.Join(w.dir, "text"), filepath.Join(w.dir, "gone")
	write(t, good, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	write(t, text, "canary")
	for ca, want := range map[string]string{
		good:       "",
		gone:       "can't be read: stat " + gone + ": no such file or directory",
		w.dir:      "can't be read: read " + w.dir + ": it is a folder",
		text:       "names " + text + ", which holds no certificate in PEM",
		"good.pem": "is not an absolute path: write it from the first / on",
	} {
		write(t, w.config, "state_dir: state\nproviders:\n  schwab: {settings: {proxy: none}}\naccounts:\n  one: {provider: schwab, client_id: id, client_secret: s, redirect_url: \"https://127.0.0.1:8182\", settings: {ca_file: \""+ca+"\"}}\n"+
			"sinks:\n  all: {type: unixsocket, path: all.sock}\n")
		got := command(t, "", "check", "-c", w.config)
		told := strings.Contains(got.stdout, w.config+":5: accounts.one.settings.ca_file: "+want)
		if (got.code == exitOK) != (want == "") || told != (want != "") || strings.Contains(got.stdout, "canary") {
			t.Errorf("%s: exit code %d, without %q:\n%s%s", ca, got.code, want, got.stdout, got.stderr)
		}
		e := testEnv("", new(bytes.Buffer), new(bytes.Buffer))
		e.configFile = w.config
		_, err := e.preflight(t.Context(), nil, false)
		if relative := ca == "good.pem"; (err != nil) != relative {
			t.Errorf("%s: run says %v", ca, err)
		}
	}
}
