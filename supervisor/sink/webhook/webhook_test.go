package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

const (
	secret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	urlPart = "user-CANARY:pass-CANARY"
	query   = "?key=CANARY-query"
	timeout = 200 * time.Millisecond
)

// receiver is an HTTP server whose port refuses connections until it listens.
type receiver struct {
	fd  int
	url string

	mu       sync.Mutex
	handler  http.HandlerFunc
	received []string
	headers  []http.Header
	paths    []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{fd: fd, handler: status(200)}
	r.url = fmt.Sprintf("http://%s@127.0.0.1:%d/token%s", urlPart, addr.(*unix.SockaddrInet4).Port, query)
	file := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = file.Close() })
	return r
}

func (r *receiver) listen(t *testing.T) {
	if err := unix.Listen(r.fd, 16); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(r.fd)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	srv := &http.Server{Handler: r}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.received = append(r.received, string(body))
	r.headers = append(r.headers, req.Header.Clone())
	r.paths = append(r.paths, req.URL.Path)
	handler := r.handler
	r.mu.Unlock()
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	handler(w, req)
}

func (r *receiver) set(h http.HandlerFunc) func(*testing.T) {
	return func(*testing.T) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.handler = h
	}
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.received...)
}

// status answers with a status and headers, and with the request's body, so
// that an error that quotes the answer would tell the token.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.Copy(w, req.Body)
	}
}

// raw answers with bytes of its own instead of HTTP, then closes, with a reset
// if asked.
func raw(reset bool, answer func(body string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, answer(string(body)))
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
}

func newSink(t *testing.T, cfg webhook.Config) *webhook.Sink {
	t.Helper()
	s, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// silent answers nothing until the sink gives up.
func silent(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }

func TestContract(t *testing.T) {
	sinktest.Run(t, sinktest.Suite{New: func(t *testing.T) sinktest.Destination {
		r := newReceiver(t)
		faults := map[string]sinktest.Fault{
			"410":                  {Set: r.set(status(410)), Want: sink.ErrGone},
			"429, seconds":         {Set: r.set(status(429, "Retry-After", "120")), RetryAfter: 120 * time.Second},
			"503, date":            {Set: r.set(status(503, "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))), RetryAfter: time.Minute},
			"429, no time":         {Set: r.set(status(429))},
			"429, nonsense":        {Set: r.set(status(429, "Retry-After", "CANARY"))},
			"503, past date":       {Set: r.set(status(503, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"))},
			"400 asks for no time": {Set: r.set(status(400, "Retry-After", "120"))},
			"507":                  {Case: sinktest.FullDisk, Set: r.set(status(507))},
			"no HTTP, echo":        {Case: sinktest.WrongAck, Set: r.set(raw(false, func(body string) string { return body + "\r\n\r\n" }))},
			"odd status, echo":     {Case: sinktest.WrongAck, Set: r.set(raw(false, func(body string) string { return "HTTP/1.1 999 " + body + "\r\n\r\n" }))},
			"odd header, echo":     {Case: sinktest.WrongAck, Set: r.set(raw(false, func(body string) string { return "HTTP/1.1 200 OK\r\n" + body + "\r\n\r\n" }))},
			"reset":                {Case: sinktest.ResetInAnswer, Set: r.set(raw(true, func(string) string { return "HTTP/1.1 20" }))},
			"closed, no answer":    {Set: r.set(raw(false, func(string) string { return "" }))},
			"huge header":          {Set: r.set(status(200, "X", strings.Repeat("CANARY", 1<<16)))},
			"no answer":            {Case: sinktest.NoAck, Set: r.set(silent)},
			"half an answer": {Case: sinktest.NoAck, Set: r.set(func(w http.ResponseWriter, req *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Never: en")
					_, _ = io.Copy(io.Discard, conn)
					_ = conn.Close()
				}
			})},
			"late": {Case: sinktest.LateAnswer, Set: r.set(func(w http.ResponseWriter, req *http.Request) {
				silent(w, req)
				w.WriteHeader(200)
			})},
			"byte by byte": {Case: sinktest.SlowReader, Harmless: true, Set: r.set(func(_ http.ResponseWriter, req *http.Request) {
				for buf := make([]byte, 1); ; runtime.Gosched() {
					if _, err := req.Body.Read(buf); err != nil {
						return
					}
				}
			})},
		}
		for _, code := range []int{301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 418, 422, 500, 502, 504} {
			class := map[int]sinktest.Case{3: sinktest.HTTPRedirect, 4: sinktest.HTTPClientError, 5: sinktest.HTTPServerError}[code/100]
			faults[fmt.Sprint(code)] = sinktest.Fault{Case: class, Set: r.set(status(code, "Location", "/elsewhere?CANARY"))}
		}
		return sinktest.Destination{
			Sink:     newSink(t, webhook.Config{URL: r.url, Secret: sdk.NewSecret(secret), Timeout: timeout}),
			Appear:   r.listen,
			Received: func(*testing.T) []string { return r.got() },
			Hang:     r.set(silent),
			Mend:     r.set(status(200)),
			Timeout:  timeout,
			Faults:   faults,
		}
	}})
}

func TestEvery2xxIsSuccess(t *testing.T) {
	r := newReceiver(t)
	r.listen(t)
	s := newSink(t, webhook.Config{URL: r.url})
	for code := 200; code < 300; code++ {
		r.set(status(code))(t)
		if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// A receiver that takes the connection and reads nothing holds up a long body,
// until the deadline.
func TestReceiverThatNeverReads(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := newSink(t, webhook.Config{URL: "http://" + l.Addr().String(), Timeout: timeout, Encode: func(format.Document) ([]byte, error) {
		return make([]byte, 32<<20), nil
	}})
	if err := s.Deliver(t.Context(), sinktest.Full("a", 1)); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("got %v", err)
	}
}

func TestOwnBody(t *testing.T) {
	r := newReceiver(t)
	r.listen(t)
	own := func(d format.Document) ([]byte, error) { return []byte("TOKEN=" + d.AccessToken.Reveal() + "\n"), nil }
	d := sinktest.Full("a", 1)
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{"": webhook.DefaultContentType, "application/x-env": "application/x-env"} {
		s := newSink(t, webhook.Config{URL: r.url, Secret: sdk.NewSecret(secret), Encode: own, ContentType: set})
		if err := s.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		n := len(r.received) - 1
		if got := r.headers[n].Get("Content-Type"); got != want || r.received[n] != "TOKEN="+d.Document.AccessToken.Reveal()+"\n" {
			t.Errorf("received %q of type %s", r.received[n], got)
		}
		if err := wh.Verify([]byte(r.received[n]), r.headers[n]); err != nil {
			t.Error(err)
		}
		if err := s.Notify(t.Context(), sinktest.Alert("a", 1)); err != nil {
			t.Fatal(err)
		}
		if n++; r.headers[n].Get("Content-Type") != "application/json" || !strings.Contains(r.received[n], `"type":"alert.needs_login"`) {
			t.Errorf("a notice is %s", r.received[n])
		}
	}
	broken := newSink(t, webhook.Config{URL: r.url, Encode: func(format.Document) ([]byte, error) { return nil, errors.New("no expiry") }})
	if err := broken.Deliver(t.Context(), d); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("a document that can't be encoded: %v", err)
	}
	if err := broken.Notify(t.Context(), sink.Notice{ID: "x"}); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("an empty notice: %v", err)
	}
}

func TestSignedPayload(t *testing.T) {
	r := newReceiver(t)
	r.listen(t)
	r.set(status(503))(t)
	now := time.Now()
	s := newSink(t, webhook.Config{
		URL: r.url, Secret: sdk.NewSecret(secret), Headers: map[string]sdk.Secret{"X-Key": sdk.NewSecret("k")},
		Now: func() time.Time { now = now.Add(time.Second); return now },
	})
	d := sinktest.Bare("acct", 7)
	if err := s.Deliver(t.Context(), d); err == nil {
		t.Fatal("a 503 is no success")
	}
	r.set(status(204))(t)
	if err := s.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}

	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range r.headers {
		if err := wh.Verify([]byte(r.received[i]), h); err != nil {
			t.Errorf("try %d: %v", i+1, err)
		}
		if h.Get("webhook-id") != d.ID || h.Get("Content-Type") != "application/json" || h.Get("X-Key") != "k" {
			t.Errorf("try %d has headers %v", i+1, h)
		}
		if user, pass, _ := (&http.Request{Header: h}).BasicAuth(); user+":"+pass != urlPart {
			t.Errorf("try %d: the user in the URL did not arrive", i+1)
		}
	}
	if r.headers[0].Get("webhook-timestamp") == r.headers[1].Get("webhook-timestamp") {
		t.Error("webhook-timestamp is not that of the try")
	}
	if r.received[0] != r.received[1] {
		t.Error("two tries of one version sent different payloads")
	}
	if err := wh.Verify([]byte(r.received[0]+" "), r.headers[0]); err == nil {
		t.Error("the signature holds for another payload")
	}

	var p struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			Account, Provider string
			Version           uint64
			AccessToken       string `json:"access_token"`
			TokenType         string `json:"token_type"`
			ExpiresAt         int64  `json:"expires_at"`
		}
	}
	if err := json.Unmarshal([]byte(r.received[1]), &p); err != nil {
		t.Fatal(err)
	}
	doc := d.Document
	if p.Type != "token.refreshed" || !p.Timestamp.Equal(doc.IssuedAt) || p.Data.Account != "acct" || p.Data.Provider != "broker" ||
		p.Data.Version != 7 || p.Data.AccessToken != doc.AccessToken.Reveal() || p.Data.TokenType != "Bearer" || p.Data.ExpiresAt != doc.Expiry.Unix() {
		t.Errorf("payload %+v", p)
	}
}

func TestUnsignedWithoutSecret(t *testing.T) {
	r := newReceiver(t)
	r.listen(t)
	if err := newSink(t, webhook.Config{URL: r.url}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Fatal(err)
	}
	if got := r.headers[0].Get("webhook-signature"); got != "" {
		t.Errorf("signed with nothing: %q", got)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	r := newReceiver(t)
	r.listen(t)
	r.set(status(307, "Location", "/elsewhere"))(t)
	if err := newSink(t, webhook.Config{URL: r.url}).Deliver(t.Context(), sinktest.Bare("a", 1)); err == nil {
		t.Error("a redirect is no success")
	}
	if len(r.paths) != 1 || r.paths[0] != "/token" {
		t.Errorf("requests for %v", r.paths)
	}
}

func TestEndlessBodyIsNotWaitedFor(t *testing.T) {
	r := newReceiver(t)
	r.listen(t)
	ended := make(chan struct{})
	r.set(func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})(t)
	if err := newSink(t, webhook.Config{URL: r.url, Timeout: time.Hour}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Error(err)
	}
	<-ended // the connection was closed
}
