package oauth

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// Canaries: none of these may ever stand in an error's text.
const (
	canaryRefresh = "canary-refresh-7f3a"
	canarySecret  = "canary-secret-91bc"
	canaryAccess  = "canary-access-55d0"
	canaryBody    = "canary-body-c01e"
)

const goodAnswer = `{"access_token":"` + canaryAccess + `","refresh_token":"next","token_type":"Bearer","expires_in":1800}`

// server is a token endpoint that answers what it is told, and counts.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	posts []*http.Request
	forms []map[string][]string
}

func serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		s.mu.Lock()
		s.posts = append(s.posts, r)
		s.forms = append(s.forms, r.PostForm)
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.posts)
}

// raw is a server below HTTP: talk gets each connection after the request was
// read, and its end closes the connection.
type raw struct {
	url      string
	mu       sync.Mutex
	requests int
}

func serveRaw(t *testing.T, talk func(net.Conn)) *raw {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{url: "http://" + l.Addr().String()}
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				r.mu.Lock()
				r.requests++
				r.mu.Unlock()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		handlers.Wait()
	})
	return r
}

func (r *raw) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

func endpointAt(url string) Endpoint {
	return Endpoint{
		AuthorizeURL: url + "/authorize", TokenURL: url + "/token",
		AuthStyle: oauth2.AuthStyleInHeader, DefaultLifetime: 20 * time.Minute,
	}
}

func account() sdk.Account {
	return sdk.Account{
		Name: "main", ClientID: "app", ClientSecret: sdk.NewSecret(canarySecret), RedirectURL: "https://127.0.0.1:8182",
	}
}

func refreshRequest() sdk.RefreshRequest {
	return sdk.RefreshRequest{Account: account(), Token: sdk.Token{RefreshToken: sdk.NewSecret(canaryRefresh)}}
}

func refresh(t *testing.T, e Endpoint) (sdk.Token, error) {
	t.Helper()
	return (&Client{}).Refresh(t.Context(), e, refreshRequest())
}

// withSlot returns a context as sdk.Serve makes it for an attempt.
func withSlot(t *testing.T, dir string) (context.Context, *spool.Slot, *spool.Spool) {
	t.Helper()
	sp, err := spool.Open(t.Context(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	slot, _, err := sp.Begin(spool.Header{Attempt: "attempt-1", Account: "main", Kind: spool.KindRefresh})
	if err != nil {
		t.Fatal(err)
	}
	return spool.NewContext(t.Context(), slot), slot, sp
}

func wantKind(t *testing.T, err error, want sdk.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of the kind %s", want)
	}
	if got := sdk.KindOf(err); got != want {
		t.Fatalf("kind %s, want %s: %v", got, want, err)
	}
	wantNoCanary(t, err)
}

func wantNoCanary(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error tells a secret or the answer's body: %v", err)
	}
}

func answerWith(status int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
