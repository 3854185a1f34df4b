package brokersim

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the tests know New York everywhere
)

func newKindsClient(t *testing.T, cfg Config) (*testClient, *manualClock) {
	t.Helper()
	clock := newManualClock()
	cfg.Now = clock.Now
	return newTestClient(t, cfg), clock
}

// send makes a request without a body.
func (c *testClient) send(method, address string, headers ...string) testAnswer {
	c.t.Helper()
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	a := c.do(req)
	if a.err != nil {
		c.t.Fatal(a.err)
	}
	return a
}

func (c *testClient) query(method string, form url.Values) testAnswer {
	c.t.Helper()
	return c.send(method, c.sim.TokenURL()+"?"+form.Encode())
}

func TestQuestrade(t *testing.T) {
	c, _ := newKindsClient(t, Config{Dialect: Questrade})
	g := c.sim.Grant("main")
	a := c.query("GET", refreshForm(g.RefreshToken))
	c.expect("GET", a.status, 200)
	c.expect("api_server", strings.HasPrefix(a.body["api_server"].(string), "https://api0"), true)
	next := a.body["refresh_token"].(string)
	a = c.query("POST", refreshForm(next))
	c.expect("empty POST", a.status, 200)
	a = c.query("GET", refreshForm(next))
	c.expect("spent", a.status, 400)
	c.expect("its text", a.text, "Bad Request")
	c.expect("reuses", len(c.sim.Reused()), 1)
	c.expect("violations", len(c.sim.Violations()), 0)
	named := refreshForm(next)
	named.Set("client_id", "app-key")
	c.query("GET", named)
	c.expect("a client is named", len(c.sim.Violations()), 1)
}

func TestCTrader(t *testing.T) {
	c, _ := newKindsClient(t, Config{Dialect: CTrader})
	g := c.sim.Grant("main")
	form := refreshForm(g.RefreshToken)
	form.Set("client_id", "app-key")
	form.Set("client_secret", "app-secret")
	c.expect("POST", c.try(form, false).status, 405)
	a := c.query("GET", form)
	c.expect("GET", a.status, 200)
	c.expect("errorCode", a.body["errorCode"], nil)
	c.expect("the access token before dies", c.resource(g.AccessToken), 401)
	c.expect("the next one works", c.resource(a.body["accessToken"].(string)), 200)
	a = c.query("GET", form)
	c.expect("an error is a 200", a.status, 200)
	c.expect("errorCode", a.body["errorCode"], "ACCESS_DENIED")
	c.expect("no token", a.body["accessToken"], nil)
}

func TestIntuitKeepsARefreshTokenForADay(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Intuit})
	first := c.sim.Grant("main").RefreshToken
	for range 23 {
		clock.now = clock.now.Add(time.Hour)
		c.expect("the same value", c.mustRefresh(first), first)
	}
	clock.now = clock.now.Add(time.Hour)
	second := c.mustRefresh(first)
	c.expect("a new value after a day", second != first, true)
	clock.now = clock.now.Add(23 * time.Hour)
	c.expect("the one before works for a day", c.mustRefresh(first), second)
	clock.now = clock.now.Add(time.Hour)
	c.expect("and then no more", c.refresh(first).status, 400)
	c.expect("which kills the grant", c.refresh(second).status, 400)
}

func TestXeroForgivesALostAnswer(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Xero})
	first := c.sim.Grant("main").RefreshToken
	lost := c.mustRefresh(first)
	clock.now = clock.now.Add(29 * time.Minute)
	second := c.mustRefresh(first)
	c.expect("another successor", second != lost, true)
	third := c.mustRefresh(second)
	c.expect("not once the successor was used", c.refresh(first).status, 400)
	c.expect("dead", c.refresh(third).status, 400)

	c, clock = newKindsClient(t, Config{Dialect: Xero})
	first = c.sim.Grant("main").RefreshToken
	c.mustRefresh(first)
	clock.now = clock.now.Add(30 * time.Minute)
	c.expect("not after half an hour", c.refresh(first).status, 400)
	c, _ = newKindsClient(t, Config{Dialect: Xero, ReuseGrace: -1})
	first = c.sim.Grant("main").RefreshToken
	c.mustRefresh(first)
	c.expect("not where the grace is off", c.refresh(first).status, 400)
}

func TestWallClock(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	santiago, err := time.LoadLocation("America/Santiago")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		clock      WallClock
		from, want string
	}{
		"an hour before":           {WallClock{3, 30, india}, "2026-03-02T02:30:00+05:30", "2026-03-02T03:30:00+05:30"},
		"at the moment":            {WallClock{3, 30, india}, "2026-03-02T03:30:00+05:30", "2026-03-03T03:30:00+05:30"},
		"another day there":        {WallClock{6, 0, india}, "2026-03-01T23:30:00Z", "2026-03-02T06:00:00+05:30"},
		"midnight":                 {WallClock{0, 0, newYork}, "2026-03-06T12:00:00-05:00", "2026-03-07T00:00:00-05:00"},
		"a day of 23 hours":        {WallClock{0, 0, newYork}, "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00"},
		"a day of 25 hours":        {WallClock{0, 0, newYork}, "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"},
		"an hour that is left out": {WallClock{2, 30, newYork}, "2026-03-08T00:00:00-05:00", "2026-03-08T03:30:00-04:00"},
		"a midnight that is not":   {WallClock{0, 0, santiago}, "2026-09-05T12:00:00-04:00", "2026-09-06T01:00:00-03:00"},
		"UTC":                      {WallClock{Hour: 22}, "2026-12-31T23:00:00Z", "2027-01-01T22:00:00Z"},
	} {
		from, err := time.Parse(time.RFC3339, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.clock.Next(from); got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s: %s, want %s", name, got.Format(time.RFC3339), tt.want)
		}
	}
}

// Every token dies at half past three, however young, and a failed exchange burns
// the code.
func TestUpstoxDiesByTheClock(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Upstox})
	clock.now = time.Date(2026, 3, 2, 2, 30, 0, 0, india)
	g := c.sim.Grant("main")
	c.expect("no refresh token", g.RefreshToken, "")
	c.expect("an hour", g.ExpiresIn, time.Hour)
	clock.now = clock.now.Add(time.Hour - time.Second)
	c.expect("a second before", c.resource(g.AccessToken), 200)
	clock.now = clock.now.Add(time.Second)
	c.expect("at the time", c.resource(g.AccessToken), 401)

	to, _ := c.authorize(url.Values{"client_id": {"app-key"}, "redirect_uri": {"https://127.0.0.1:8182"}, "response_type": {"code"}, "login_hint": {"main"}})
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"https://elsewhere"},
		"client_id": {"app-key"}, "client_secret": {"app-secret"},
	}
	c.expect("a wrong redirect_uri", c.try(form, false).status, 401)
	form.Set("redirect_uri", "https://127.0.0.1:8182")
	c.expect("burns the code", c.try(form, false).status, 401)
}

// The wall clock ends what has a refresh token, too.
func TestWallClockEndsGrants(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Schwab, DiesAt: &WallClock{Hour: 10}})
	g := c.sim.Grant("main")
	c.expect("an hour", g.RefreshExpiresIn, time.Hour)
	clock.now = clock.now.Add(59 * time.Minute)
	a := c.refresh(g.RefreshToken)
	c.expect("a minute before", a.body["expires_in"], 60.0)
	clock.now = clock.now.Add(time.Minute)
	c.expect("refresh token", c.refresh(g.RefreshToken).status, 400)
	c.expect("access token", c.resource(a.body["access_token"].(string)), 401)
}

func TestDhanMintsAndRenews(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Dhan})
	mint := func(pin, code string) testAnswer {
		return c.send("POST", c.sim.MintURL()+"?"+url.Values{"dhanClientId": {"1000000401"}, "pin": {pin}, "totp": {code}}.Encode())
	}
	key := c.sim.Config().TOTPKey
	a := mint("1234", TOTP(key, clock.now))
	first, _ := a.body["accessToken"].(string)
	c.expect("a token", first != "", true)
	c.expect("expiryTime", a.body["expiryTime"], clock.now.Add(24*time.Hour).In(india).Format("2006-01-02T15:04:05.000"))
	c.expect("a code works once", mint("1234", TOTP(key, clock.now)).body["status"], "error")
	clock.now = clock.now.Add(time.Minute)
	c.expect("not of two steps ago", mint("1234", TOTP(key, clock.now.Add(-time.Minute))).body["status"], "error")
	c.expect("not of the next step", mint("1234", TOTP(key, clock.now.Add(30*time.Second))).body["status"], "error")
	c.expect("not with another PIN", mint("0000", TOTP(key, clock.now)).body["status"], "error")
	c.expect("the token lives on", c.send("GET", c.sim.ResourceURL(), "access-token", first).status, 200)
	second, _ := mint("1234", TOTP(key, clock.now.Add(-30*time.Second))).body["accessToken"].(string)
	c.expect("of the step before", second != "", true)
	c.expect("minting ends the one before", c.send("GET", c.sim.ResourceURL(), "access-token", first).status, 401)

	a = c.send("GET", c.sim.RenewURL(), "access-token", second)
	third, _ := a.body["accessToken"].(string)
	c.expect("renewed", third != "", true)
	c.expect("renewing ends the one before", c.send("GET", c.sim.ResourceURL(), "access-token", second).status, 401)
	a = c.send("GET", c.sim.RenewURL(), "access-token", second)
	c.expect("a dead one renews nothing", a.body["status"], "error")
	c.expect("in a 200", a.status, 200)
	clock.now = clock.now.Add(24 * time.Hour)
	c.expect("nor one past its end", c.send("GET", c.sim.RenewURL(), "access-token", third).body["status"], "error")
	for range 5 {
		mint("0000", "")
	}
	c.expect("too many failed logins", mint("1234", TOTP(key, clock.now)).status, 429)
}

// RFC 6238, appendix B: the last six of its eight digits.
func TestTOTP(t *testing.T) {
	key := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := TOTP(key, time.Unix(at, 0)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestTradovateLimits(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Tradovate})
	first := c.sim.Grant("main")
	token := first.AccessToken
	renew := func() testAnswer { return c.send("GET", c.sim.RenewURL(), "Authorization", "Bearer "+token) }
	for range 15 {
		a := renew()
		next, _ := a.body["accessToken"].(string)
		if next == "" {
			t.Fatalf("not renewed: %s", a.text)
		}
		c.expect("the one before lives on", c.resource(token), 200)
		token = next
		clock.now = clock.now.Add(time.Minute)
	}
	a := renew()
	c.expect("the sixteenth in an hour", a.status, 429)
	c.expect("has no body", a.text, "")
	clock.now = clock.now.Add(45 * time.Minute)
	c.expect("an hour after the first", renew().status, 200)

	second := c.sim.Grant("main")
	c.expect("two sessions", c.resource(token), 200)
	c.sim.Grant("main")
	c.expect("a third closes the first", c.resource(token), 401)
	c.expect("and not the second", c.resource(second.AccessToken), 200)
	c.expect("counted", c.sim.Account("main").Ousted, 1)
	a = renew()
	c.expect("an error is a 200", a.status, 200)
	c.expect("with its text", a.body["errorText"] != nil, true)
}

func TestSchwabOptions(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Schwab, DeadAsInvalidClient: true, RedirectURL: "https://127.0.0.1:1,https://127.0.0.1:2"})
	for address, want := range map[string]int{"https://127.0.0.1:2": 302, "https://127.0.0.1:2/": 400} {
		_, a := c.authorize(url.Values{"client_id": {"app-key"}, "redirect_uri": {address}, "response_type": {"code"}})
		c.expect(address, a.status, want)
	}
	g := c.sim.Grant("main")
	clock.now = clock.now.Add(7 * 24 * time.Hour)
	a := c.refresh(g.RefreshToken)
	c.expect("status", a.status, 401)
	c.expect("error", a.body["error"], "invalid_client")
	for name, registered := range map[string]string{"http": "http://127.0.0.1", "too long": "https://127.0.0.1/" + strings.Repeat("x", 255)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			New(Config{Dialect: Schwab, RedirectURL: registered})
		}()
	}
}

// Limits and sessions can be turned on for any dialect; faults meet the new kinds
// of requests, too.
func TestMachineryOfAnyDialect(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Schwab, RequestsPerHour: 2, Sessions: -1, IdleLimit: time.Hour})
	g := c.sim.Grant("main")
	c.mustRefresh(g.RefreshToken)
	c.mustRefresh(g.RefreshToken)
	c.expect("a third", c.refresh(g.RefreshToken).status, 429)
	clock.now = clock.now.Add(time.Hour)
	c.expect("idle", c.refresh(g.RefreshToken).status, 400)

	c, _ = newKindsClient(t, Config{Dialect: Tradovate})
	token := c.sim.Grant("main").AccessToken
	c.sim.Inject(ServerError(503).On("renew"))
	for _, want := range []int{503, 200} {
		c.expect("a fault of the renewal", c.send("GET", c.sim.RenewURL(), "Authorization", "Bearer "+token).status, want)
	}
	c.expect("counted", c.sim.Account("main").Posts, 2)
}
