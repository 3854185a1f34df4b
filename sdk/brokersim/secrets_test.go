package brokersim

import (
	"net/http"
	"strings"
	"testing"
)

// A client gets a new secret: the old one is taken beside it for a while, and then no more.
func TestSecretIsReplaced(t *testing.T) {
	for _, dialect := range []Dialect{Schwab, Saxo} {
		t.Run(string(dialect), func(t *testing.T) {
			c := newTestClient(t, Config{Dialect: dialect})
			token := c.mustRefresh(c.sim.Grant("main").RefreshToken)
			c.sim.TakeSecrets("app-secret", "new")
			token = c.mustRefresh(token)
			c.sim.TakeSecrets("new")
			a := c.refresh(token)
			c.expect("the old one", a.status, http.StatusUnauthorized)
			c.expect("error", a.body["error"], "invalid_client")
			c.expect("the token", c.sim.RefreshValid(token), true)
			req, err := http.NewRequest(http.MethodPost, c.sim.TokenURL(), strings.NewReader(refreshForm(token).Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.SetBasicAuth("app-key", "new")
			if a := c.do(req); a.err != nil || a.status >= 300 {
				t.Errorf("the new one: %d %v", a.status, a.err)
			}
		})
	}
}

// Where the token is spent before the client is looked at, it is dead for whoever comes
// with another secret afterwards, and so is the grant.
func TestSpentBeforeTheClientIsLookedAt(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo, SpendsFirst: true})
	g := c.sim.Grant("main")
	c.sim.TakeSecrets("new")
	c.expect("error", c.refresh(g.RefreshToken).body["error"], "invalid_client")
	c.expect("the token", c.sim.RefreshValid(g.RefreshToken), false)
	c.expect("the access token", c.sim.AccessValid(g.AccessToken), true)
	c.expect("uses", c.sim.Uses(g.RefreshToken), 1)
	c.expect("reused", len(c.sim.Reused()), 0)

	c.sim.TakeSecrets("app-secret")
	c.expect("a second use", c.refresh(g.RefreshToken).body["error"], "invalid_grant")
	c.expect("the access token, then", c.sim.AccessValid(g.AccessToken), false)
	c.expect("reused, then", len(c.sim.Reused()), 1)
}

func TestSchwabWrapsInvalidClient(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab, WrapsInvalidClient: true})
	token := c.sim.Grant("main").RefreshToken
	c.sim.TakeSecrets("new")
	a := c.refresh(token)
	c.expect("status", a.status, http.StatusBadRequest)
	c.expect("error", a.body["error"], "unsupported_token_type")
	c.expect("inside", a.body["error_description"], `400 Bad Request: "{"error_description":"Unauthorized","error":"invalid_client"}"`)
}
