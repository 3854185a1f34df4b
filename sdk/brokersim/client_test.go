package brokersim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// testClient speaks to a Server as a careless program would: nothing here
// knows the dialects.
type testClient struct {
	t    *testing.T
	sim  *Server
	http *http.Client
}

func newTestClient(t *testing.T, cfg Config) *testClient {
	t.Helper()
	sim := New(cfg)
	transport := &http.Transport{DialContext: sim.Dial, DisableKeepAlives: true}
	t.Cleanup(func() { sim.Close() })
	return &testClient{t: t, sim: sim, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type testAnswer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
	err    error // of the request or of reading the body
}

// try posts a form; basic: client credentials go into the header.
func (c *testClient) try(form url.Values, basic bool) testAnswer {
	return c.postForm(c.sim.TokenURL(), form, basic)
}

func (c *testClient) postForm(address string, form url.Values, basic bool) testAnswer {
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth(c.sim.cfg.ClientID, c.sim.cfg.ClientSecret)
	}
	return c.do(req)
}

func (c *testClient) do(req *http.Request) testAnswer {
	resp, err := c.http.Do(req)
	if err != nil {
		return testAnswer{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a := testAnswer{status: resp.StatusCode, header: resp.Header, text: string(text), err: err}
	if json.Unmarshal(text, &a.body) != nil {
		a.body = nil
	}
	return a
}

// refresh is an ordinary refresh with Basic.
func (c *testClient) refresh(token string) testAnswer { return c.try(refreshForm(token), true) }

// mustRefresh returns the refresh token of a granted answer.
func (c *testClient) mustRefresh(token string) string {
	c.t.Helper()
	a := c.refresh(token)
	if a.err != nil || a.status >= 300 {
		c.t.Fatalf("refresh refused: %d %s %v", a.status, a.text, a.err)
	}
	return a.body["refresh_token"].(string)
}

// authorize follows one login and returns what comes to the redirect address.
func (c *testClient) authorize(q url.Values) (*url.URL, testAnswer) {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.sim.AuthorizeURL()+"?"+q.Encode(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	a := c.do(req)
	if a.err != nil {
		c.t.Fatal(a.err)
	}
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		c.t.Fatal(err)
	}
	return to, a
}

func (c *testClient) resource(token string) int {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.sim.ResourceURL(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	a := c.do(req)
	if a.err != nil {
		c.t.Fatal(a.err)
	}
	return a.status
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func (c *testClient) expect(what string, got, want any) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// manualClock is a clock that only a test moves.
type manualClock struct{ now time.Time }

func newManualClock() *manualClock { return &manualClock{time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

func (m *manualClock) Now() time.Time { return m.now }
