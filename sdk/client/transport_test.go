package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 1, time.Hour)
		source := c.TokenSource(t.Context(), "main")
		want := func(when, token string, kind error) {
			t.Helper()
			got, err := source.Token()
			if kind != nil {
				if !errors.Is(err, kind) || got != nil {
					t.Errorf("%s: got an error %v, want %v", when, err, kind)
				}
				return
			}
			if err != nil || got.AccessToken != token || got.RefreshToken != "" || got.Type() != "Bearer" || !got.Valid() {
				t.Errorf("%s: %v, want %s", when, err, token)
			}
		}
		want("at first", "at-main-1", nil)
		s.set("main", 2, time.Hour)
		want("after a refresh", "at-main-2", nil)
		s.stop()
		want("while the supervisor restarts", "at-main-2", nil)
		time.Sleep(time.Hour)
		want("when that has expired", "", client.ErrNotRunning)
		s.start()
		want("an expired token", "", client.ErrExpired)
		s.mu.Lock()
		delete(s.tokens, "main")
		s.mu.Unlock()
		want("an account that is gone", "", client.ErrNoAccount)
	})
}

// broker answers requests without a network and remembers what it got.
type broker struct {
	got    []string // URL, Authorization, body
	answer func(*http.Request) (status int, location string)
}

func (b *broker) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		all, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		_ = req.Body.Close()
		body = string(all)
	}
	b.got = append(b.got, strings.TrimSpace(req.URL.String()+" "+req.Header.Get("Authorization")+" "+body))
	status, location := b.answer(req)
	header := http.Header{}
	if location != "" {
		header.Set("Location", location)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("answer")), Request: req}, nil
}

func (b *broker) want(t *testing.T, when string, want ...string) {
	t.Helper()
	if strings.Join(b.got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s: the broker got\n%s\nwant\n%s", when, strings.Join(b.got, "\n"), strings.Join(want, "\n"))
	}
	b.got = nil
}

func TestTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 1, time.Hour)
		b := &broker{answer: func(*http.Request) (int, string) { return 200, "" }}
		h := &http.Client{Transport: c.Transport("main", b)}
		get := func(body io.Reader) (int, error) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://broker.example/orders", body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := h.Do(req)
			if err != nil {
				return 0, err
			}
			_ = resp.Body.Close()
			if len(req.Header) > 0 {
				t.Error("the caller's request was changed")
			}
			return resp.StatusCode, nil
		}
		want := func(when string, wantStatus int, body io.Reader) {
			t.Helper()
			if status, err := get(body); err != nil || status != wantStatus {
				t.Errorf("%s: %d, %v; want %d", when, status, err, wantStatus)
			}
		}

		want("at first", 200, strings.NewReader("buy"))
		b.want(t, "at first", "https://broker.example/orders Bearer at-main-1 buy")

		b.answer = func(*http.Request) (int, string) { return 401, "" }
		want("refused, and no newer token", 401, strings.NewReader("buy"))
		b.want(t, "refused, and no newer token", "https://broker.example/orders Bearer at-main-1 buy")

		refuseOnce := func(version uint64) {
			b.answer = func(*http.Request) (int, string) {
				s.set("main", version, time.Hour)
				b.answer = func(*http.Request) (int, string) { return 200, "" }
				return 401, ""
			}
		}
		refuseOnce(2)
		want("refused, and a newer token", 200, strings.NewReader("buy"))
		b.want(t, "refused, and a newer token",
			"https://broker.example/orders Bearer at-main-1 buy", "https://broker.example/orders Bearer at-main-2 buy")

		refuseOnce(3)
		want("a body that can be read once", 401, io.MultiReader(strings.NewReader("buy")))
		b.want(t, "a body that can be read once", "https://broker.example/orders Bearer at-main-2 buy")

		s.stop()
		b.answer = func(*http.Request) (int, string) { return 200, "" }
		want("while the supervisor restarts", 200, nil)
		b.want(t, "while the supervisor restarts", "https://broker.example/orders Bearer at-main-2")

		time.Sleep(time.Hour)
		body := &closed{Reader: strings.NewReader("buy")}
		if _, err := get(body); !errors.Is(err, client.ErrNotRunning) || !body.closed {
			t.Errorf("without a token: %v; the body is closed: %t", err, body.closed)
		}
		b.want(t, "without a token")
	})
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }

func TestTransportDoesNotFollowRedirectsWithTheToken(t *testing.T) {
	for to, want := range map[string]string{
		"https://broker.example/other":      "https://broker.example/other Bearer at-main-1",
		"https://evil.example/other":        "https://evil.example/other",
		"https://sub.broker.example/other":  "https://sub.broker.example/other",
		"https://broker.example:8443/other": "https://broker.example:8443/other",
		"http://broker.example/other":       "http://broker.example/other",
	} {
		synctest.Test(t, func(t *testing.T) {
			s, c := newSupervisor(t)
			s.start()
			s.set("main", 1, time.Hour)
			b := &broker{answer: func(req *http.Request) (int, string) {
				switch req.URL.Path {
				case "/first":
					return 302, to
				case "/other":
					return 302, "/last" // still there
				}
				return 200, ""
			}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://broker.example/first", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: c.Transport("main", b)}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			b.want(t, to, "https://broker.example/first Bearer at-main-1", want, strings.Replace(want, "/other", "/last", 1))
		})
	}
}
