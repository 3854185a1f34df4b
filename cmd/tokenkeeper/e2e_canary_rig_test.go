package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// canaries are the secrets that a test has put into the world, by value, with
// where each came from.
type canaries struct {
	mu    sync.Mutex
	found map[string]string
}

// canaryWord is in every secret that the test makes itself.
const canaryWord = "CANARY"

// fragment is how much of a secret counts as the secret.
const fragment = 16

func (c *canaries) add(what, value string) {
	if len(value) < fragment {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found == nil {
		c.found = map[string]string{}
	}
	c.found[value] = what
}

// in names the secrets of which a part is in text, plain or encoded.
func (c *canaries) in(text string) (leaks []string) {
	if i := strings.Index(text, canaryWord); i >= 0 {
		leaks = append(leaks, "a secret or the text of an answer, at …"+text[max(i-80, 0):i]+"…")
	}
	c.mu.Lock()
	all := maps.Clone(c.found)
	c.mu.Unlock()
	for value, what := range all {
		if holdsPart(text, value) || holdsPart(text, url.QueryEscape(value)) ||
			holdsPart(text, base64.StdEncoding.EncodeToString([]byte(value))) {
			leaks = append(leaks, what)
		}
	}
	return leaks
}

func holdsPart(text, value string) bool {
	if header, rest, ok := strings.Cut(value, "."); ok && strings.HasPrefix(header, "eyJ") {
		value = rest // all tokens that are JWTs begin with the same header
	}
	for i := 0; i+fragment <= len(value); i += fragment {
		if strings.Contains(text, value[i:i+fragment]) {
			return true
		}
	}
	return false
}

// mustNotBeIn fails the test if a secret is in text.
func (c *canaries) mustNotBeIn(t *testing.T, where, text string) {
	t.Helper()
	for _, leak := range c.in(text) {
		t.Errorf("%s holds %s", where, leak)
	}
}

// overheard serves a broker and notes every secret that passes.
func overheard(t *testing.T, sim *brokersim.Server, c *canaries) (tokenURL string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.add("a refresh token that was sent", form.Get("refresh_token"))
			c.add("a client secret that was sent", form.Get("client_secret"))
		}
		_, basic, _ := strings.Cut(r.Header.Get("Authorization"), "Basic ")
		c.add("client credentials that were sent", basic)
		heard := &hearing{ResponseWriter: w}
		defer func() { c.hear(heard.body.Bytes()) }()
		sim.ServeHTTP(heard, r)
	}))
	t.Cleanup(func() {
		sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	path := strings.TrimPrefix(sim.TokenURL(), sim.URL())
	return server.URL + path
}

// hear notes the tokens of an answer.
func (c *canaries) hear(body []byte) {
	var fields map[string]any
	_ = json.Unmarshal(body, &fields)
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if value, ok := fields[name].(string); ok {
			c.add("an answered "+name, value)
		}
	}
}

// hearing keeps what is written.
type hearing struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (h *hearing) Write(b []byte) (int, error) {
	h.body.Write(b)
	return h.ResponseWriter.Write(b)
}

func (h *hearing) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// grant notes the tokens of a login.
func (c *canaries) grant(g brokersim.Grant) brokersim.Grant {
	c.add("an access token of a login", g.AccessToken)
	c.add("a refresh token of a login", g.RefreshToken)
	return g
}

// consumer is a bot on a Unix socket, which takes what one read returns, as
// one recv of 4096 bytes does, and answers the next of its answers.
type consumer struct {
	t        *testing.T
	listener net.Listener

	mu      sync.Mutex
	answers []string // the last one goes on
	got     [][]byte
	changed chan struct{}
}

func newConsumer(t *testing.T, path string, answers ...string) *consumer {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c := &consumer{t: t, listener: l, answers: answers, changed: make(chan struct{}, 1)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.take(conn)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return c
}

func (c *consumer) take(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	c.mu.Lock()
	answer := c.answers[0]
	if len(c.answers) > 1 {
		c.answers = c.answers[1:]
	}
	c.got = append(c.got, buf[:n])
	c.mu.Unlock()
	_, _ = io.WriteString(conn, answer)
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// received are the messages so far.
func (c *consumer) received() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.got...)
}

// until waits for a message that holds text.
func (c *consumer) until(text string) []byte {
	c.t.Helper()
	late := waittest.Late(c.t)
	for {
		for _, m := range c.received() {
			if bytes.Contains(m, []byte(text)) {
				return m
			}
		}
		select {
		case <-c.changed:
		case <-late:
			c.t.Fatal("the consumer has not got it")
		}
	}
}

// hook receives webhooks; it answers the next of its answers.
type hook struct {
	url string

	mu      sync.Mutex
	answers []func(http.ResponseWriter) // then 204
	bodies  []string
}

func newHook(t *testing.T, answers ...func(http.ResponseWriter)) *hook {
	h := &hook{answers: answers}
	server := httptest.NewServer(h)
	h.url = server.URL
	t.Cleanup(server.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
	if len(h.answers) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.answers[0](w)
	h.answers = h.answers[1:]
}

func (h *hook) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.bodies...)
}

// processesHoldNone looks at what everybody on a machine may see of a process.
func (c *canaries) processesHoldNone(t *testing.T, s *site) {
	t.Helper()
	pids := s.processes(t)
	if len(pids) < 3 {
		t.Errorf("the processes %v are fewer than the supervisor and its providers", pids)
	}
	for _, pid := range pids {
		for _, name := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join("/proc", pid, name))
			if err != nil {
				continue // it has ended
			}
			c.mustNotBeIn(t, fmt.Sprintf("%s of process %s (%.60q)", name, pid, readCommand(pid)), string(text))
		}
	}
}

func readCommand(pid string) string {
	b, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	return string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
}

// mustBePrivate fails the test if anything in dir is open to others. Of a
// socket only the right to write counts (unix(7)).
func mustBePrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		open := fs.FileMode(0o077)
		if d.Type() == fs.ModeSocket {
			open = 0o022
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&open != 0 {
			t.Errorf("%s is open to others: %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
