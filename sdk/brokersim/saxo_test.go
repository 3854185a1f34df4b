package brokersim

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSaxoAnswer(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	c.expect("token path", c.sim.TokenURL(), c.sim.URL()+"/token")
	c.expect("authorize path", c.sim.AuthorizeURL(), c.sim.URL()+"/authorize")
	g := c.sim.Grant("main")
	a := c.refresh(g.RefreshToken)
	c.expect("status", a.status, http.StatusCreated)
	c.expect("expires_in", a.body["expires_in"], 1200.0)
	c.expect("refresh_token_expires_in", a.body["refresh_token_expires_in"], 2400.0)
	c.expect("base_uri", a.body["base_uri"], c.sim.URL()+"/openapi/")
	want := []string{"access_token", "base_uri", "expires_in", "refresh_token", "refresh_token_expires_in", "token_type"}
	if got := slices.Sorted(maps.Keys(a.body)); !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	if a.body["refresh_token"] == g.RefreshToken {
		t.Error("the refresh token was not replaced")
	}
	c.expect("the access token before lives on", c.resource(g.AccessToken), http.StatusOK)
}

func TestSaxoLifetimes(t *testing.T) {
	clock := newManualClock()
	c := newTestClient(t, Config{Dialect: Saxo, Now: clock.Now, RefreshLifetime: SaxoLiveRefreshLifetime})
	g := c.sim.Grant("main")
	clock.now = clock.now.Add(20*time.Minute - time.Second)
	c.expect("access before its end", c.resource(g.AccessToken), http.StatusOK)
	clock.now = clock.now.Add(time.Second)
	c.expect("access at its end", c.resource(g.AccessToken), http.StatusUnauthorized)
	token := g.RefreshToken
	for range 10 { // slides with each refresh
		clock.now = clock.now.Add(39 * time.Minute)
		token = c.mustRefresh(token)
	}
	clock.now = clock.now.Add(time.Hour)
	a := c.refresh(token)
	c.expect("dead", a.status, http.StatusBadRequest)
	c.expect("error", a.body["error"], "invalid_grant")
	c.expect("expiry is no reuse", len(c.sim.Reused()), 0)
}

func TestSaxoReuseRevokesTheChain(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo, DeadGrantStatus: http.StatusUnauthorized})
	first, other := c.sim.Grant("main"), c.sim.Grant("other")
	second := c.mustRefresh(first.RefreshToken)
	third := c.mustRefresh(second)
	a := c.refresh(first.RefreshToken)
	c.expect("status", a.status, http.StatusUnauthorized)
	c.expect("error", a.body["error"], "invalid_grant")
	c.expect("newest refresh token", c.refresh(third).status, http.StatusUnauthorized)
	c.expect("access token", c.sim.AccessValid(first.AccessToken), false)
	c.mustRefresh(other.RefreshToken)

	reuses := c.sim.Reused()
	if len(reuses) != 1 {
		t.Fatalf("reuses: %+v", reuses)
	}
	c.expect("account", reuses[0].Account, "main")
	c.expect("fingerprint", reuses[0].Fingerprint, Fingerprint(first.RefreshToken))
	c.expect("forgiven", reuses[0].InGrace, false)
	c.expect("uses", c.sim.Uses(first.RefreshToken), 2)
	c.expect("counted", c.sim.Account("main").Reused, 1)
}

func TestReuseGrace(t *testing.T) {
	clock := newManualClock()
	config := Config{Dialect: Saxo, ReuseGrace: 30 * time.Second, Now: clock.Now}
	t.Run("a replay replaces the lost successor", func(t *testing.T) {
		c := newTestClient(t, config)
		first := c.sim.Grant("main").RefreshToken
		lost := c.mustRefresh(first)
		clock.now = clock.now.Add(29 * time.Second)
		c.expect("still good", c.sim.RefreshValid(first), true)
		second := c.mustRefresh(first)
		c.expect("lost successor", c.sim.RefreshValid(lost), false)
		c.mustRefresh(second)
		if r := c.sim.Reused(); len(r) != 1 || !r[0].InGrace {
			t.Errorf("reuses: %+v", r)
		}
		c.expect("after the successor was used", c.refresh(first).status, http.StatusBadRequest)
		c.expect("newest", c.sim.Account("main").Reused, 2)
	})
	t.Run("the replaced successor is a reuse", func(t *testing.T) {
		c := newTestClient(t, config)
		first := c.sim.Grant("main").RefreshToken
		lost := c.mustRefresh(first)
		second := c.mustRefresh(first)
		c.expect("two holders", c.refresh(lost).status, http.StatusBadRequest)
		c.expect("chain", c.sim.RefreshValid(second), false)
	})
	t.Run("it ends", func(t *testing.T) {
		c := newTestClient(t, config)
		first := c.sim.Grant("main").RefreshToken
		second := c.mustRefresh(first)
		clock.now = clock.now.Add(30 * time.Second)
		c.expect("too late", c.refresh(first).status, http.StatusBadRequest)
		c.expect("chain", c.sim.RefreshValid(second), false)
	})
}

func TestSaxoClientAuthentication(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	token := c.sim.Grant("main").RefreshToken
	form := refreshForm(token)
	form.Set("client_id", c.sim.cfg.ClientID)
	form.Set("client_secret", "wrong")
	a := c.try(form, false)
	c.expect("wrong secret", a.status, http.StatusUnauthorized)
	c.expect("error", a.body["error"], "invalid_client")
	c.expect("nothing", c.try(refreshForm(token), false).status, http.StatusUnauthorized)
	form.Set("client_secret", c.sim.cfg.ClientSecret)
	c.expect("twice", c.try(form, true).status, http.StatusBadRequest)
	a = c.try(form, false)
	c.expect("in the body", a.status, http.StatusCreated)
	form = refreshForm(a.body["refresh_token"].(string))
	form.Set("redirect_uri", c.sim.cfg.RedirectURL)
	c.expect("in the header, with redirect_uri", c.try(form, true).status, http.StatusCreated)
}

func TestSaxoPKCE(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo, PKCE: true, RedirectURL: "http://localhost/bot"})
	c.sim.LoginAs("main")
	verifier := strings.Repeat("v-._~", 9)
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {c.sim.cfg.ClientID},
		"redirect_uri":   {"http://localhost:4711/bot"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	to, _ := c.authorize(query)
	c.expect("port of its own", to.Host, "localhost:4711")
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {c.sim.cfg.ClientID}, "code": {to.Query().Get("code")},
		"redirect_uri": {"http://localhost:4711/bot"}, "code_verifier": {strings.Repeat("x", 43)},
	}
	c.expect("wrong verifier", c.try(form, false).body["error"], "invalid_grant")
	form.Set("code_verifier", verifier)
	a := c.try(form, false)
	c.expect("exchange", a.status, http.StatusCreated)

	good := refreshForm(a.body["refresh_token"].(string))
	good.Set("redirect_uri", "http://localhost:4711/bot")
	good.Set("code_verifier", verifier)
	for _, bad := range []struct{ name, field, value, err string }{
		{"no verifier", "code_verifier", "", "invalid_request"},
		{"wrong verifier", "code_verifier", strings.Repeat("x", 43), "invalid_grant"},
		{"no redirect_uri", "redirect_uri", "", "invalid_request"},
		{"wrong redirect_uri", "redirect_uri", "http://localhost/bot", "invalid_grant"},
		{"client id", "client_id", c.sim.cfg.ClientID, "invalid_request"},
		{"secret", "client_secret", "any", "invalid_client"},
	} {
		form := maps.Clone(good)
		form.Set(bad.field, bad.value)
		c.expect(bad.name, c.try(form, false).body["error"], bad.err)
	}
	c.expect("none of these spent it", c.try(good, false).status, http.StatusCreated)
	c.expect("account", c.sim.Account("main").Refreshes, 1)

	query.Del("code_challenge")
	to, _ = c.authorize(query)
	c.expect("no challenge", to.Query().Get("error"), "invalid_request")
	query.Set("redirect_uri", "http://localhost:4711/elsewhere")
	_, a = c.authorize(query)
	c.expect("wrong redirect address", a.status, http.StatusBadRequest)

	g := c.sim.Grant("main")
	form = refreshForm(g.RefreshToken)
	form.Set("redirect_uri", g.RedirectURL)
	form.Set("code_verifier", g.CodeVerifier)
	c.expect("grant without a browser", c.try(form, false).status, http.StatusCreated)
}

func TestSaxoLateExchangeGivesNegativeLifetime(t *testing.T) {
	clock := newManualClock()
	c := newTestClient(t, Config{Dialect: Saxo, Now: clock.Now})
	to, _ := c.authorize(url.Values{
		"response_type": {"code"}, "client_id": {c.sim.cfg.ClientID}, "redirect_uri": {c.sim.cfg.RedirectURL}, "login_hint": {"main"},
	})
	clock.now = clock.now.Add(25 * time.Minute)
	a := c.try(url.Values{
		"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {c.sim.cfg.RedirectURL},
	}, true)
	c.expect("expires_in", a.body["expires_in"], -300.0)
	c.expect("refresh_token_expires_in", a.body["refresh_token_expires_in"], 900.0)
	c.mustRefresh(a.body["refresh_token"].(string))
	c.expect("login_hint", c.sim.Account("main").Logins, 1)
}

func TestDeniedLogin(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	c.sim.DenyNextLogin()
	query := url.Values{
		"response_type": {"code"}, "client_id": {c.sim.cfg.ClientID}, "redirect_uri": {c.sim.cfg.RedirectURL}, "state": {"x"},
	}
	to, _ := c.authorize(query)
	c.expect("error", to.Query().Get("error"), "access_denied")
	c.expect("state", to.Query().Get("state"), "x")
	to, _ = c.authorize(query)
	c.expect("once", to.Query().Has("code"), true)
	query.Set("client_id", "someone else")
	_, a := c.authorize(query)
	c.expect("unknown client", a.status, http.StatusBadRequest)
}
