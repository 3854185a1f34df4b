package brokersim

import (
	"net/url"
	"testing"
)

// What was revoked is refused from then on, and nothing else is; a token that nobody knows
// is as good as revoked, and a stranger revokes nothing.
func TestRevocation(t *testing.T) {
	for _, ends := range []Revocation{RevokesGrant, RevokesClient} {
		c := newTestClient(t, Config{Dialect: Xero, Revokes: ends})
		main, other := c.sim.Grant("main"), c.sim.Grant("other")
		revoke := func(token string, known bool) testAnswer {
			return c.postForm(c.sim.RevokeURL(), url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}, known)
		}
		c.expect("a stranger", revoke(main.RefreshToken, false).status, 401)
		c.expect("unknown", revoke("nobody's", true).status, 200)
		c.expect("without a token", revoke("", true).status, 400)
		c.expect("alive", c.sim.RefreshValid(main.RefreshToken), true)
		a := revoke(main.RefreshToken, true)
		c.expect("revoked", a.status, 200)
		c.expect("answered", a.text, "")
		c.expect("refresh", c.refresh(main.RefreshToken).status, 400)
		c.expect("access", c.resource(main.AccessToken), 401)
		c.expect("another login", c.sim.RefreshValid(other.RefreshToken), ends == RevokesGrant)
		c.expect("again", revoke(main.AccessToken, true).status, 200)
		c.expect("counted", c.sim.Account("main").Revocations, 1)
		c.expect("a token request", c.sim.Account("main").Refreshes, 0)
	}
	c := newTestClient(t, Config{Dialect: Saxo})
	c.expect("no such endpoint", c.sim.RevokeURL(), "")
}

// The faults of token requests meet revocations, before and after they are processed.
func TestFaultsOfRevocations(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Xero, Revokes: RevokesGrant})
	g := c.sim.Grant("main")
	revoke := func() testAnswer {
		return c.postForm(c.sim.RevokeURL(), url.Values{"token": {g.RefreshToken}}, true)
	}
	c.sim.Inject(ServerError(503).For("main").On("revoke"))
	c.expect("503", revoke().status, 503)
	c.expect("alive", c.sim.RefreshValid(g.RefreshToken), true)
	c.sim.Inject(LostAnswer().For("main").On("revoke").At(AfterProcessing))
	if a := revoke(); a.err == nil {
		t.Errorf("answered %d", a.status)
	}
	c.expect("dead", c.sim.RefreshValid(g.RefreshToken), false)
}
