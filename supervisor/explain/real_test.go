package explain

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// site is a broker behind TLS, and what stands before it.
type site struct {
	t      *testing.T
	sim    *brokersim.Server
	server *httptest.Server
	token  string
	client oauth.Client
	at     oauth.Endpoint
	proxy  string
	id     string
}

func newSite(t *testing.T) *site {
	sim := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo})
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that fail on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return &site{
		t: t, sim: sim, server: server, token: sim.Grant("main").RefreshToken, client: oauth.Client{RootCAs: pool}, proxy: "none", id: sim.Config().ClientID,
		at: oauth.Endpoint{TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInParams, DefaultLifetime: 20 * time.Minute, Timeout: time.Minute},
	}
}

// fails is a refresh that does, in the words of those who meet it.
func (s *site) fails() error {
	_, err := s.client.Refresh(s.t.Context(), s.at, sdk.RefreshRequest{
		Account: sdk.Account{Name: "main", ClientID: s.id, ClientSecret: sdk.NewSecret(s.sim.Config().ClientSecret), Settings: map[string]string{oauth.SettingProxy: s.proxy}},
		Token:   sdk.Token{RefreshToken: sdk.NewSecret(s.token)},
	})
	if err == nil {
		s.t.Fatal("it has not failed")
	}
	return err
}

// behind is a proxy that opens each way, or answers with that instead.
func (s *site) behind(answer string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { through(conn, answer) })
		}
	})
	s.t.Cleanup(func() {
		_ = l.Close()
		open.Wait()
	})
	s.proxy = "http://" + l.Addr().String()
}

func through(conn net.Conn, answer string) {
	defer func() { _ = conn.Close() }()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	if answer != "" {
		_, _ = io.WriteString(conn, answer)
		return
	}
	to, err := net.Dial("tcp", req.Host)
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, to)
		_ = conn.Close()
	})
	_, _ = io.Copy(to, conn)
	_ = to.Close()
	back.Wait()
}

// TestRealFailures: what is said of failures that have happened, in the words that whoever met
// them has found, and after the history has kept them. Those of [faults] are written by hand.
func TestRealFailures(t *testing.T) {
	const network, status, onTheWay = "machine's network", "broker's status page", "looks into TLS on the way"
	for name, tt := range map[string]struct {
		fault func(*site)
		words []string
	}{
		"the broker is down":        {func(s *site) { s.sim.Inject(brokersim.ServerError(503)) }, []string{"it was answered HTTP 503", status}},
		"too many requests":         {func(s *site) { s.sim.Inject(brokersim.TooManyRequests("30")) }, []string{"it was told to ask for fewer requests", "the same client"}},
		"a page":                    {func(s *site) { s.sim.Inject(brokersim.HTMLForbidden()) }, []string{"it was answered HTTP 403", "tokenkeeper status main"}},
		"no answer":                 {func(s *site) { s.sim.Inject(brokersim.LostAnswer()) }, []string{"it got no answer that counts", "tokenkeeper status main"}},
		"half an answer":            {func(s *site) { s.sim.Inject(brokersim.Cut(10)) }, []string{"it got no answer that counts", "tokenkeeper status main"}},
		"the refresh token is none": {func(s *site) { s.token = "another" }, []string{"it was refused (invalid_grant)", "tokenkeeper login main"}},
		"the client is none":        {func(s *site) { s.id = "another" }, []string{"it was refused because of the client", "client_id and client_secret"}},
		"nobody listens":            {func(s *site) { s.server.Close() }, []string{"it could not be sent", "connection refused", network}},
		"no name is found": {func(s *site) {
			s.at.TokenURL = "https://broker.invalid/token"
			s.client.Dial = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no server of names")
			}}}).DialContext
		}, []string{"it failed to find the broker's host name", network}},
		"a certificate":             {func(s *site) { s.client.RootCAs = x509.NewCertPool() }, []string{"it met a TLS certificate that is not trusted", onTheWay}},
		"the proxy wants a user":    {func(s *site) { s.behind("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") }, []string{"it was stopped at the proxy", "HTTP 407", "Look at the proxy"}},
		"the proxy opens no way":    {func(s *site) { s.behind("HTTP/1.1 502 Bad Gateway\r\n\r\n") }, []string{"it was stopped at the proxy", "HTTP 502", "Look at the proxy"}},
		"the proxy is gone":         {func(s *site) { s.behind(""); s.proxy = "http://127.0.0.1:1" }, []string{"it was stopped at the proxy", "connection refused", "Look at the proxy"}},
		"by a proxy: a certificate": {func(s *site) { s.behind(""); s.client.RootCAs = x509.NewCertPool() }, []string{"it met a TLS certificate that is not trusted", onTheWay}},
		"by a proxy: no answer":     {func(s *site) { s.behind(""); s.sim.Inject(brokersim.LostAnswer()) }, []string{"it got no answer that counts", "tokenkeeper status main"}},
		"by a proxy: down":          {func(s *site) { s.behind(""); s.sim.Inject(brokersim.ServerError(503)) }, []string{"it was answered HTTP 503", status}},
		"by a proxy: a page about one": {func(s *site) {
			s.behind("")
			s.sim.Inject(brokersim.Respond(502, "text/html", "<title>the proxy is busy</title>"))
		}, []string{"it was answered HTTP 502", status}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			tt.fault(s)
			err := s.fails()
			failed := line("02:10", event.Event{
				Type: event.RefreshFailed, Kind: string(sdk.KindOf(err)), Failures: 1, Max: 5,
				Message: fmt.Sprintf("refresh failed (%s): %v", event.InRow(1, 5), err), // as a Keeper says it
			})
			said := strings.Join(Explain(kept(t, join(usual(), failed)), Question{Account: "main", At: clock("02:30"), Now: clock("02:30")}).Sentences, "\n")
			for _, word := range tt.words {
				if !strings.Contains(said, word) {
					t.Errorf("%q is not said", word)
				}
			}
			if blames := strings.Contains(said, "at the proxy"); blames != strings.HasPrefix(name, "the proxy") {
				t.Errorf("the proxy is blamed: %v", blames)
			}
			t.Logf("of: %v\nsaid:\n%s", err, said)
		})
	}
}

// kept are lines as they are read after the history was written, while the run goes on.
func kept(t *testing.T, lines []history.Line) []history.Line {
	dir := t.TempDir()
	var now time.Time
	w := history.New(history.Config{Dir: dir, Wall: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	for _, l := range lines {
		switch now = l.Time; l.Type {
		case history.RunBegan:
			w.Began("1")
		case history.Configured:
			w.Configured(l.Accounts, l.Sinks)
		default:
			w.Note(l.Event)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	past, err := history.Read(dir, nil)
	if err != nil || len(past.Lines) != len(lines)+1 {
		t.Fatalf("%d lines, %v", len(past.Lines), err)
	}
	return past.Lines[:len(lines)] // the last is that the run has ended
}
