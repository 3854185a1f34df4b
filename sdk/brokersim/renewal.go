package brokersim

import (
	"net/http"
	"net/url"
	"strings"
)

// parseRenewal reads a request that renews the access token which it carries.
func (s *desk) parseRenewal(r *http.Request) (form url.Values, _ *refusal) {
	form = url.Values{"grant_type": {grantRenew}}
	token := s.bearer(r)
	form.Set("access_token", token)
	if token == "" {
		return form, &refusal{code: codeInvalidRequest, detail: "the request carries no access token"}
	}
	return form, nil
}

// bearer is the access token that a request carries: as a bearer token (RFC 6750,
// section 2.1) or in the broker's own header.
func (s *site) bearer(r *http.Request) string {
	if s.rules.tokenHeader != "" {
		return r.Header.Get(s.rules.tokenHeader)
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// grantRenewal gives a grant its next access token, for a living one alone. s.mu
// is held.
func (s *desk) grantRenewal(ex *exchange) (issued, *refusal) {
	a := s.access[ex.form.Get("access_token")]
	if !s.alive(a) {
		return issued{}, &refusal{code: codeInvalidGrant, detail: "the access token is dead, and renews nothing any more"}
	}
	now := s.now()
	a.grant.used = now
	s.tally.of(a.grant.account).Refreshes++
	return s.issue(a.grant, now.Add(s.cfg.AccessLifetime), now), nil
}

// serveKeepalive takes a beat. It says in a 200 whether the session lives, as
// brokers with sessions do: who looks at the status alone learns nothing.
func (s *Server) serveKeepalive(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	token := s.bearer(r)
	a, ousted := s.access[token], s.ousted[token]
	alive := s.alive(a)
	if alive {
		a.grant.used = s.now()
		s.tally.of(a.grant.account).Beats++
	}
	s.notify()
	s.mu.Unlock()
	// IBKR's answer to a tickle (its OpenAPI text, 2.28.0); hmds.error is no error.
	jsonAnswer(http.StatusOK, map[string]any{
		"ssoExpires": 0,
		"iserver":    map[string]any{"authStatus": map[string]any{"authenticated": alive, "connected": alive, "competing": ousted, "message": ""}},
		"hmds":       map[string]any{"error": "no bridge"},
	}).write(w, func() {})
}
