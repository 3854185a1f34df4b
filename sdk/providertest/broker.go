package providertest

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// broker is the suite's authorization server. It counts every request, says what
// its words have against it, and answers as the rule under test wants it to.
type broker struct {
	server *httptest.Server

	words  Broker
	judged bool // by the words of a token request

	mu         sync.Mutex
	forms      []url.Values
	texts      []string        // of whole requests
	assertions map[string]bool // by their ids
	faults     []string        // of the requests
}

func (b *broker) url() string { return b.server.URL + "/token" }

// posts returns the forms of the requests so far.
func (b *broker) posts() []url.Values {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]url.Values(nil), b.forms...)
}

// textOf is all that a request says: where a broker wants an access token, such as in
// a header, a cookie or the address, is its own affair.
func textOf(r *http.Request) string {
	return fmt.Sprintf("%s %v %s", r.URL, r.Header, r.PostForm.Encode())
}

// carried says of each request so far whether it carried a secret.
func (b *broker) carried(secret string) []bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var did []bool
	for _, text := range b.texts {
		did = append(did, strings.Contains(text, secret))
	}
	return did
}

func (b *broker) wantPosts(t *testing.T, n int) {
	t.Helper()
	if got := len(b.posts()); got != n {
		t.Errorf("the broker saw %d token requests, want %d", got, n)
	}
}

func respond(status int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangUp processes the request and ends the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// wording is how the suite's authorization server talks in the way that is tested.
type wording struct {
	words     Broker    // of that way, whole
	usual     Broker    // Suite.Broker, whole
	born      time.Time // of the suite's JWTs
	noRefresh bool      // the provider knows no refresh tokens
}

func (s wording) newBroker(t *testing.T, answer http.HandlerFunc) *broker {
	t.Helper()
	b := s.beside(t, answer)
	b.judged = true
	return b
}

// beside is a server for what is no token request, as a beat: worded as it likes.
func (s wording) beside(t *testing.T, answer http.HandlerFunc) *broker {
	t.Helper()
	b := &broker{words: s.words, assertions: map[string]bool{}}
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.judged && r.Method != b.words.method() {
			http.Error(w, b.words.method()+" only", http.StatusMethodNotAllowed)
			return
		}
		if b.judged {
			r.PostForm = b.words.parameters(r)
			b.judge(r)
		} else {
			_ = r.ParseForm()
		}
		b.mu.Lock()
		b.forms = append(b.forms, r.PostForm)
		b.texts = append(b.texts, textOf(r))
		b.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(func() {
		b.server.Close()
		for _, fault := range b.faults {
			t.Error(fault)
		}
	})
	return b
}

// holdBack answers a request when release is called, and closes arrived when the
// first one comes.
func (s wording) holdBack(t *testing.T) (b *broker, arrived <-chan struct{}, release func()) {
	came, open := make(chan struct{}), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(came) })
	b = s.newBroker(t, func(w http.ResponseWriter, r *http.Request) {
		arrive()
		<-open
		s.grant(s.access(newAccess), newRefresh)(w, r)
	})
	release = sync.OnceFunc(func() { close(open) })
	t.Cleanup(release) // before the server is closed, which waits for its requests
	return b, came, release
}

// grant answers with a token of its own.
func (s wording) grant(access, refresh string) http.HandlerFunc {
	status, body := s.success(access, refresh)
	return respond(status, "application/json", body)
}

// cutAnswer sends a part of an answer and ends the connection.
func (s wording) cutAnswer(w http.ResponseWriter, _ *http.Request) {
	_, body := s.success(s.access(newAccess), newRefresh)
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"+body[:len(body)/2])
		_ = conn.Close()
	}
}

// begins answers what a provider asks to begin a login.
func (s wording) begins(shape sdk.LoginShape) http.HandlerFunc {
	status, body := s.words.BeginLogin(shape)
	return respond(status, "application/json", body)
}

// success is the broker's answer to a request that is granted. Where the provider
// knows no refresh tokens, there is none in it.
func (s wording) success(access, refresh string) (status int, body string) {
	return s.words.Success(access, s.given(refresh))
}

func (s wording) given(refresh string) string {
	if s.noRefresh {
		return ""
	}
	return refresh
}

// access is an access token of the suite's, which a broker may want to be a JWT.
func (s wording) access(name string) string {
	if !s.words.JWT {
		return name
	}
	enc := base64.RawURLEncoding
	claims := fmt.Sprintf(`{"exp":%d}`, s.born.Add(Lifetime).Unix())
	// The name stands where a signature does, for the suite to find it in errors.
	return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString([]byte(claims)) + "." + strings.ReplaceAll(name, " ", "-")
}
