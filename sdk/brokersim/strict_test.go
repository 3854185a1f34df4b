package brokersim

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestStrictRequests(t *testing.T) {
	for _, dialect := range []Dialect{Schwab, Saxo} {
		t.Run(string(dialect), func(t *testing.T) {
			c := newTestClient(t, Config{Dialect: dialect})
			g := c.sim.Grant("main")
			good := refreshForm(g.RefreshToken).Encode()
			const form = "application/x-www-form-urlencoded"
			for _, test := range []struct {
				name, method, query, contentType, body string
				status                                 int
				err                                    string
			}{
				{"GET", "GET", "", form, "", 405, ""},
				{"PUT", "PUT", "", form, good, 405, ""},
				{"query", "POST", "?refresh_token=" + g.RefreshToken, form, good, 400, "invalid_request"},
				{"JSON", "POST", "", "application/json", `{"grant_type":"refresh_token"}`, 400, "invalid_request"},
				{"no type", "POST", "", "", good, 400, "invalid_request"},
				{"repeated", "POST", "", form, good + "&refresh_token=x", 400, "invalid_request"},
				{"unknown field", "POST", "", form, good + "&scope=api", 400, "invalid_request"},
				{"missing field", "POST", "", form, "grant_type=refresh_token", 400, "invalid_request"},
				{"empty field", "POST", "", form, "grant_type=refresh_token&refresh_token=", 400, "invalid_request"},
				{"no grant type", "POST", "", form, "refresh_token=" + g.RefreshToken, 400, "invalid_request"},
				{"other grant type", "POST", "", form, "grant_type=password", 400, "unsupported_grant_type"},
				{"malformed", "POST", "", form, good + "&%zz", 400, "invalid_request"},
				{"too long", "POST", "", form, good + "&x=" + strings.Repeat("x", maxRequestBody), 400, "invalid_request"},
			} {
				before := c.sim.Stats().Violations
				req, err := http.NewRequest(test.method, c.sim.TokenURL()+test.query, strings.NewReader(test.body))
				if err != nil {
					t.Fatal(err)
				}
				if test.contentType != "" {
					req.Header.Set("Content-Type", test.contentType)
				}
				req.SetBasicAuth(c.sim.cfg.ClientID, c.sim.cfg.ClientSecret)
				a := c.do(req)
				c.expect(test.name+": error of the request", a.err, nil)
				c.expect(test.name+": status", a.status, test.status)
				if test.err != "" {
					c.expect(test.name+": error", a.body["error"], test.err)
				}
				c.expect(test.name+": listed", c.sim.Stats().Violations, before+1)
			}
			c.mustRefresh(g.RefreshToken) // none of them spent it
			for _, v := range c.sim.Violations() {
				if strings.Contains(v.Text, g.RefreshToken) || strings.Contains(v.Text, c.sim.cfg.ClientSecret) {
					t.Errorf("violation shows a secret: %s", v.Text)
				}
			}
		})
	}
}

func TestFormEncodedBasicCredentials(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab, ClientSecret: "a+b %&"})
	g := c.sim.Grant("main")
	for _, secret := range []string{"a+b %&", url.QueryEscape("a+b %&")} {
		req, err := http.NewRequest("POST", c.sim.TokenURL(), strings.NewReader(refreshForm(g.RefreshToken).Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(c.sim.cfg.ClientID, secret)
		c.expect(secret, c.do(req).status, http.StatusOK)
	}
}

func TestUnknownRefreshToken(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	c.expect("error", c.refresh("nobody's").body["error"], "invalid_grant")
	c.expect("counted", c.sim.Account("").Refused, 1)
	c.expect("no violation of the protocol", c.sim.Stats().Violations, 0)
}

func TestConfigContradictions(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no dialect":         {},
		"PKCE at Schwab":     {Dialect: Schwab, PKCE: true},
		"PKCE with a secret": {Dialect: Saxo, PKCE: true, ClientSecret: "x"},
		"negative lifetime":  {Dialect: Saxo, AccessLifetime: -1},
		"unknown rotation":   {Dialect: Saxo, Rotation: "sometimes"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("New took it")
				}
			}()
			New(cfg)
		})
	}
}
