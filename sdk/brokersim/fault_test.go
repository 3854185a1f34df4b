package brokersim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaultsThatEndTheRequest: what each fault answers, and whether the
// refresh token is spent, at both stages.
func TestFaultsThatEndTheRequest(t *testing.T) {
	faults := []struct {
		name  string
		fault Fault
		check func(*testClient, testAnswer)
	}{
		{"lost answer", LostAnswer(), func(c *testClient, a testAnswer) {
			c.expect("no answer", errors.Is(a.err, io.EOF), true)
		}},
		{"429 with Retry-After", TooManyRequests("7"), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 429)
			c.expect("Retry-After", a.header.Get("Retry-After"), "7")
		}},
		{"429", TooManyRequests(""), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 429)
			c.expect("Retry-After", len(a.header.Values("Retry-After")), 0)
		}},
		{"503", ServerError(503), func(c *testClient, a testAnswer) { c.expect("status", a.status, 503) }},
		{"HTML 403", HTMLForbidden(), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 403)
			c.expect("type", a.header.Get("Content-Type"), "text/html")
			c.expect("HTML", strings.HasPrefix(a.text, "<HTML>"), true)
		}},
		{"garbage", Garbage(), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 200)
			c.expect("no JSON", a.body == nil && a.text != "", true)
		}},
		{"huge body", HugeBody(3 << 20), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 200)
			c.expect("more than asked for", len(a.text) > 3<<20, true)
			c.expect("JSON", a.body != nil, true)
		}},
		{"302", Redirect(302, "/token"), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 302)
			c.expect("Location", a.header.Get("Location"), "/token")
		}},
		{"invalid_grant", InvalidGrant(), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 400)
			c.expect("error", a.body["error"], "invalid_grant")
		}},
		{"invalid_client", InvalidClient(), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 401)
			c.expect("error", a.body["error"], "invalid_client")
		}},
		{"empty 401", Respond(401, "text/plain", ""), func(c *testClient, a testAnswer) {
			c.expect("status", a.status, 401)
			c.expect("body", a.text, "")
		}},
	}
	for _, test := range faults {
		for stage, spent := range map[Stage]bool{BeforeProcessing: false, AfterProcessing: true} {
			t.Run(fmt.Sprintf("%s/spent=%v", test.name, spent), func(t *testing.T) {
				c := newTestClient(t, Config{Dialect: Saxo})
				token := c.sim.Grant("main").RefreshToken
				c.sim.Inject(test.fault.At(stage))
				test.check(c, c.refresh(token))
				c.expect("pending", c.sim.PendingFaults(), 0)
				c.expect("token is good", c.sim.RefreshValid(token), !spent)
				if n := c.sim.Account("main"); n.Open() != 0 || n.Faults != 1 || (n.Refreshes == 1) != spent {
					t.Errorf("counters: %+v", n)
				}
				if !spent {
					c.mustRefresh(token)
				}
			})
		}
	}
}

func TestInvalidGrantFaultInSchwabsWords(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab})
	g := c.sim.Grant("main")
	c.sim.Inject(InvalidGrant())
	a := c.refresh(g.RefreshToken)
	c.expect("error", a.body["error"], "unsupported_token_type")
	c.expect("nested", strings.Contains(a.body["error_description"].(string), "refresh_token_authentication_error"), true)
	c.mustRefresh(g.RefreshToken)
}

func TestFollowedRedirectShowsAsARepeat(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	c.http.CheckRedirect = nil
	token := c.sim.Grant("main").RefreshToken
	c.sim.Inject(Redirect(307, c.sim.TokenURL()))
	c.expect("the careless client", c.refresh(token).status, 201)
	c.expect("repeats", c.sim.Account("main").Repeats, 1)
	c.expect("uses", c.sim.Uses(token), 2)
}

func TestCutAnswer(t *testing.T) {
	for _, n := range []int{0, 1, 10} {
		c := newTestClient(t, Config{Dialect: Saxo})
		token := c.sim.Grant("main").RefreshToken
		c.sim.Inject(Cut(n))
		a := c.refresh(token)
		c.expect("status", a.status, 201)
		c.expect("error", errors.Is(a.err, io.ErrUnexpectedEOF), true)
		if n > 0 {
			c.expect("bytes", len(a.text), n)
		} else {
			c.expect("half", len(a.text) > 100, true)
		}
		c.expect("spent", c.sim.RefreshValid(token), false)
		c.expect("counted", c.sim.Account("main").CutProcessed, 1)
		c.expect("answered", c.sim.Account("main").Answered, 0)
	}
}

func TestOddFields(t *testing.T) {
	for _, test := range []struct {
		name, want string
		fault      Fault
	}{
		{"missing", ``, WithoutField("expires_in")},
		{"string", `"expires_in":"1200"`, WithField("expires_in", "1200")},
		{"float", `"expires_in":1199.5`, WithField("expires_in", 1199.5)},
		{"negative", `"expires_in":-17`, WithField("expires_in", -17)},
		{"null", `"expires_in":null`, WithField("expires_in", nil)},
		{"beyond numbers", `"expires_in":1e400`, WithField("expires_in", json.RawMessage("1e400"))},
	} {
		c := newTestClient(t, Config{Dialect: Saxo})
		token := c.sim.Grant("main").RefreshToken
		c.sim.Inject(test.fault)
		a := c.refresh(token)
		c.expect(test.name+": status", a.status, 201)
		if test.want == "" {
			c.expect(test.name, strings.Contains(a.text, `"expires_in":`), false)
		} else {
			c.expect(test.name+" in "+a.text, strings.Contains(a.text, test.want), true)
		}
		c.expect(test.name+": spent", c.sim.RefreshValid(token), false)
	}
}

func TestAnswerWithoutRefreshTokenKeepsTheOldOne(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	token := c.sim.Grant("main").RefreshToken
	c.sim.Inject(WithoutField("refresh_token"))
	a := c.refresh(token)
	c.expect("left out", a.body["refresh_token"], nil)
	c.expect("new access token", c.resource(a.body["access_token"].(string)), 200)
	c.mustRefresh(token)
	c.expect("reuses", len(c.sim.Reused()), 0)
}

func TestFaultsMeetWhomTheyShould(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab})
	a, b := c.sim.Grant("a").RefreshToken, c.sim.Grant("b").RefreshToken
	c.sim.Inject(
		ServerError(503).For("b").Repeat(2),
		ServerError(502).On("authorization_code"),
		ServerError(504).When(func(r Request) bool { return r.Account == "a" && r.Number == 2 }),
	)
	for i, want := range []struct {
		token  string
		status int
	}{{a, 200}, {b, 503}, {a, 504}, {b, 503}, {b, 200}, {a, 200}} {
		c.expect(fmt.Sprint("request ", i), c.refresh(want.token).status, want.status)
	}
	c.expect("pending", c.sim.PendingFaults(), 1)
	c.sim.ClearFaults()
	c.sim.Inject(ServerError(500).Repeat(-1))
	for range 5 {
		c.expect("for ever", c.refresh(a).status, 500)
	}
	c.sim.ClearFaults()
	c.mustRefresh(a)
}

func TestDelaysInSimulatedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t, Config{Dialect: Saxo})
		defer c.sim.Close()
		token := c.sim.Grant("main").RefreshToken
		c.sim.Inject(Delay(time.Hour), Delay(time.Minute).At(AfterProcessing), Drip(time.Second))
		start := time.Now()
		c.expect("expired while it waited", c.refresh(token).status, 400)
		c.expect("before", time.Since(start), time.Hour)

		token, start = c.sim.Grant("main").RefreshToken, time.Now()
		token = c.mustRefresh(token)
		c.expect("after", time.Since(start), time.Minute)

		start = time.Now()
		a := c.refresh(token)
		c.expect("status", a.status, 201)
		c.expect("drip", time.Since(start), time.Duration(len(a.text)-1)*time.Second)
		if got := a.header.Get("Date"); got == "" {
			t.Error("no Date")
		}
	})
}

func TestChaosIsRepeatable(t *testing.T) {
	run := func(seed uint64, order ...string) map[string]string {
		c := newTestClient(t, Config{Dialect: Schwab})
		c.sim.Chaos(seed, 0.5, ServerError(500), ServerError(503), TooManyRequests(""))
		seen, tokens := map[string]string{}, map[string]string{}
		for range 20 {
			for _, account := range order {
				if tokens[account] == "" {
					tokens[account] = c.sim.Grant(account).RefreshToken
				}
				seen[account] += fmt.Sprint(c.refresh(tokens[account]).status, " ")
			}
		}
		return seen
	}
	first, again, other := run(7, "a", "b"), run(7, "b", "a"), run(8, "a", "b")
	if first["a"] != again["a"] || first["b"] != again["b"] {
		t.Errorf("same seed, other faults:\n%v\n%v", first, again)
	}
	if first["a"] == other["a"] || first["a"] == first["b"] {
		t.Errorf("seed or account make no difference:\n%v\n%v", first, other)
	}
	for _, status := range []string{"200", "500", "503", "429"} {
		if !strings.Contains(first["a"]+first["b"], status) {
			t.Errorf("never saw %s in %v", status, first)
		}
	}
}

// TestHarmlessFaultsCostNoToken and its opposite, under Saxo's strict rules: a
// client that keeps the newest refresh token it has seen survives the harmless
// ones in any order.
func TestHarmlessFaultsCostNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t, Config{Dialect: Saxo})
		defer c.sim.Close()
		token := c.sim.Grant("main").RefreshToken
		c.sim.Chaos(1, 0.8, HarmlessFaults()...)
		for range 400 {
			a := c.refresh(token)
			if next, ok := a.body["refresh_token"].(string); ok && a.status == http.StatusCreated {
				token = next
			}
			if !c.sim.RefreshValid(token) {
				t.Fatalf("token lost to %d %v %.80q", a.status, a.err, a.text)
			}
		}
		c.expect("reuses", len(c.sim.Reused()), 0)
		if n := c.sim.Account("main"); n.Faults < 200 || n.Refreshes < 80 {
			t.Errorf("too little happened: %+v", n)
		}
	})
	for _, f := range LossyFaults() {
		c := newTestClient(t, Config{Dialect: Saxo})
		token := c.sim.Grant("main").RefreshToken
		c.sim.Inject(f)
		a := c.refresh(token)
		c.expect(f.String()+": spent", c.sim.RefreshValid(token), false)
		c.expect(f.String()+": not told", a.err != nil || a.status >= 500, true)
	}
}
