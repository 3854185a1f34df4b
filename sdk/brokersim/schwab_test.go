package brokersim

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"
)

func TestSchwabAnswer(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab})
	c.expect("token path", c.sim.TokenURL(), c.sim.URL()+"/v1/oauth/token")
	c.expect("authorize path", c.sim.AuthorizeURL(), c.sim.URL()+"/v1/oauth/authorize")
	g := c.sim.Grant("main")
	a := c.refresh(g.RefreshToken)
	c.expect("status", a.status, http.StatusOK)
	c.expect("expires_in", a.body["expires_in"], 1800.0)
	c.expect("refresh token is unchanged", a.body["refresh_token"], g.RefreshToken)
	c.expect("Cache-Control", a.header.Get("Cache-Control"), "no-store")
	want := []string{"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}
	if got := slices.Sorted(maps.Keys(a.body)); !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	c.mustRefresh(g.RefreshToken) // many times
	c.expect("reuses", len(c.sim.Reused()), 0)
	c.expect("repeats", c.sim.Account("main").Repeats, 0)
	c.expect("violations", len(c.sim.Violations()), 0)
	c.expect("access token works", c.resource(a.body["access_token"].(string)), http.StatusOK)
}

func TestSchwabRefreshTokenDiesSevenDaysAfterLogin(t *testing.T) {
	clock := newManualClock()
	c := newTestClient(t, Config{Dialect: Schwab, Now: clock.Now})
	g := c.sim.Grant("main")
	c.expect("deadline", g.RefreshExpiresIn, 7*24*time.Hour)
	for range 6 {
		clock.now = clock.now.Add(24 * time.Hour)
		c.mustRefresh(g.RefreshToken)
	}
	clock.now = clock.now.Add(24*time.Hour - time.Second)
	c.mustRefresh(g.RefreshToken)
	clock.now = clock.now.Add(time.Second)
	a := c.refresh(g.RefreshToken)
	c.expect("status", a.status, http.StatusBadRequest)
	c.expect("error", a.body["error"], "unsupported_token_type")
	form := regexp.MustCompile(`^400 Bad Request: "\{"error_description":"Exception while authenticating refresh token \[tokenDigest=[^,]+, ` +
		`Exception=Failed refresh token authentication \[tokenDigest=[^\]]+\]\]","error":"refresh_token_authentication_error"\}"$`)
	if text, _ := a.body["error_description"].(string); !form.MatchString(text) {
		t.Errorf("error_description %q is not in Schwab's form", text)
	}
}

func TestSchwabLoginEndsTheGrantBefore(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab})
	old, other := c.sim.Grant("main"), c.sim.Grant("other")
	fresh := c.sim.Grant("main")
	c.expect("old refresh", c.refresh(old.RefreshToken).status, http.StatusBadRequest)
	c.expect("old access", c.resource(old.AccessToken), http.StatusUnauthorized)
	c.mustRefresh(fresh.RefreshToken)
	c.mustRefresh(other.RefreshToken)
	if now, ok := c.sim.Current("main"); !ok || now.RefreshToken != fresh.RefreshToken || !now.Alive {
		t.Errorf("current is %+v", now)
	}
}

func TestSchwabClientAuthentication(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab})
	g := c.sim.Grant("main")
	inBody := refreshForm(g.RefreshToken)
	inBody.Set("client_id", c.sim.cfg.ClientID)
	inBody.Set("client_secret", c.sim.cfg.ClientSecret)

	a := c.try(refreshForm(g.RefreshToken), false)
	c.expect("no credentials", a.status, http.StatusUnauthorized)
	c.expect("error", a.body["error"], "invalid_client")
	if a.header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	c.expect("in the body", c.try(inBody, false).status, http.StatusUnauthorized)
	c.expect("twice", c.try(inBody, true).status, http.StatusBadRequest)
	c.expect("violations", len(c.sim.Violations()), 3)
	c.mustRefresh(g.RefreshToken)
}

func TestSchwabCodeFlow(t *testing.T) {
	clock := newManualClock()
	c := newTestClient(t, Config{Dialect: Schwab, Now: clock.Now})
	old := c.sim.Grant(DefaultAccount)
	query := url.Values{
		"response_type": {"code"}, "client_id": {c.sim.cfg.ClientID},
		"redirect_uri": {c.sim.cfg.RedirectURL}, "state": {"s p&c"},
	}
	login := func() url.Values {
		to, a := c.authorize(query)
		c.expect("status", a.status, http.StatusFound)
		code := to.Query().Get("code")
		if to.Query().Get("state") != "s p&c" || to.Host != "127.0.0.1:8182" || code[len(code)-1] != '@' {
			t.Fatalf("redirected to %s", to)
		}
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.sim.cfg.RedirectURL}}
	}
	form := login()
	c.mustRefresh(old.RefreshToken) // a code that nobody exchanged ends nothing
	a := c.try(form, true)
	c.expect("exchange", a.status, http.StatusOK)
	c.expect("login before", c.sim.RefreshValid(old.RefreshToken), false)
	first := a.body["refresh_token"].(string)
	c.mustRefresh(first)

	c.expect("code again", c.try(form, true).status, http.StatusBadRequest)
	c.expect("what the code gave", c.sim.RefreshValid(first), false)

	late := login()
	clock.now = clock.now.Add(30 * time.Second)
	c.expect("code too late", c.try(late, true).body["error"], "unsupported_token_type")
	elsewhere := login()
	elsewhere.Set("redirect_uri", "https://127.0.0.1:8182/other")
	c.expect("other redirect_uri", c.try(elsewhere, true).status, http.StatusBadRequest)
}

func TestRotationOverride(t *testing.T) {
	clock := newManualClock()
	c := newTestClient(t, Config{Dialect: Schwab, Rotation: RotationAlways, Now: clock.Now})
	token := c.sim.Grant("main").RefreshToken
	before, _ := c.sim.Current("main")
	clock.now = clock.now.Add(time.Hour)
	if next := c.mustRefresh(token); next == token {
		t.Error("the refresh token was not replaced")
	}
	after, _ := c.sim.Current("main")
	c.expect("deadline stays with the login", after.RefreshExpires, before.RefreshExpires)
}
