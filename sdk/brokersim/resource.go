package brokersim

import (
	"net/http"
)

// serveResource answers 200 to a living access token and 401 otherwise (RFC
// 6750, sections 2.1 and 3), so that a consumer can prove that its token
// works. It names the account, and nothing else.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request) {
	token := s.bearer(r)
	s.mu.Lock()
	a := s.access[token]
	valid := s.alive(a)
	if valid {
		a.grant.used = s.now()
		s.tally.of(a.grant.account).ResourcesServed++
	} else {
		s.tally.of("").ResourcesRefused++
	}
	s.notify()
	s.mu.Unlock()

	if !valid {
		out := jsonAnswer(http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		out.Header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		out.write(w, func() {})
		return
	}
	out := jsonAnswer(http.StatusOK, map[string]any{"account": a.grant.account})
	out.write(w, func() {})
}

// alive says whether an access token works now. s.mu is held.
func (s *books) alive(a *accessToken) bool {
	return a != nil && !s.over(a.grant, s.now()) && s.now().Before(a.expires)
}
