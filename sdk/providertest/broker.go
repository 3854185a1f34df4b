package providertest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
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

func (s Suite) newBroker(t *testing.T, answer http.HandlerFunc) *broker {
	t.Helper()
	b := s.beside(t, answer)
	b.judged = true
	return b
}

// beside is a server for what is no token request, as a beat: worded as it likes.
func (s Suite) beside(t *testing.T, answer http.HandlerFunc) *broker {
	t.Helper()
	b := &broker{words: s.Broker, assertions: map[string]bool{}}
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

// grant answers with a token of its own.
func (s Suite) grant(access, refresh string) http.HandlerFunc {
	status, body := s.success(access, refresh)
	return respond(status, "application/json", body)
}

// hangUp processes the request and ends the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// cutAnswer sends a part of an answer and ends the connection.
func (s Suite) cutAnswer(w http.ResponseWriter, _ *http.Request) {
	_, body := s.success(s.access(newAccess), newRefresh)
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"+body[:len(body)/2])
		_ = conn.Close()
	}
}
