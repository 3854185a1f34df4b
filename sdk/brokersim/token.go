package brokersim

import (
	"net/http"
	"net/url"
)

// exchange is one token request on its way through its three windows:
// received, processed, answered.
type exchange struct {
	request Request
	form    url.Values
	refused *refusal
	window  Window
	reused  bool // already listed as a reuse
}

// serveToken is the token endpoint. The faults of the request, if it has any,
// act before it is processed, between, and on the answer.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost { // RFC 6749, section 3.2
		s.mu.Lock()
		s.violate("", "the token endpoint takes POST only")
		s.mu.Unlock()
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	ex, fault := s.receive(r)
	defer s.leave(ex, fault)

	s.meet(fault, BeforeProcessing, ex, w, r)
	if ex.window == Answered {
		return
	}
	answer := s.process(ex, r, fault)
	s.meet(fault, AfterProcessing, ex, w, r)
	if ex.window == Answered {
		return
	}
	s.answer(ex, w, r, fault.shape(answer))
}

// receive opens the request: whose it is, and which fault it meets.
func (s *Server) receive(r *http.Request) (*exchange, *Fault) {
	form, refused := s.parseTokenRequest(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	ex := &exchange{form: form, refused: refused, window: Received}
	ex.request = Request{GrantType: form.Get("grant_type"), Received: s.now()}
	if t := s.refresh[form.Get("refresh_token")]; t != nil {
		ex.request.Account = t.grant.account
		ex.request.Fingerprint = Fingerprint(t.value)
		if t.posts++; t.posts > 1 && s.cfg.Rotation == RotationAlways {
			s.tally.of(t.grant.account).Repeats++
		}
		s.noteReuse(ex, t)
	} else if c := s.codes[form.Get("code")]; c != nil {
		ex.request.Account = c.account
	}
	a := s.tally.of(ex.request.Account)
	a.Posts++
	a.OpenReceived++
	ex.request.Number = a.Posts
	return ex, s.pick(ex.request)
}

// noteReuse lists the request if it carries a spent refresh token. s.mu is
// held.
func (s *Server) noteReuse(ex *exchange, t *refreshToken) {
	if t.spent.IsZero() || ex.reused {
		return
	}
	ex.reused = true
	now := s.now()
	s.tally.reuses = append(s.tally.reuses, Reuse{
		Time: now, Account: t.grant.account, Fingerprint: Fingerprint(t.value),
		Spent: t.spent, InGrace: !t.grant.revoked && s.inGrace(t, now),
	})
	s.tally.of(t.grant.account).Reused++
}

// process grants or refuses the request in one step: either everything has
// happened, or nothing.
func (s *Server) process(ex *exchange, r *http.Request, fault *Fault) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	a := s.tally.of(ex.request.Account)
	a.OpenReceived--
	a.OpenProcessed++
	a.Processed++
	ex.window = Processed

	refused := ex.refused
	if refused == nil {
		refused = s.checkTokenRequest(r, ex.form)
	}
	if refused != nil {
		s.violate(ex.request.Account, refused.String())
	}
	var out issued
	if refused == nil {
		switch ex.form.Get("grant_type") {
		case grantRefresh:
			out, refused = s.grantRefresh(ex, fault != nil && fault.KeepRefreshToken)
		case grantCode:
			out, refused = s.grantCode(ex)
		}
	}
	if refused != nil {
		a.Refused++
		refused.deadStatus = s.cfg.DeadGrantStatus
		return s.rules.refuse(*refused)
	}
	return jsonAnswer(s.rules.success(out))
}

// grantRefresh is RFC 6749, section 6. s.mu is held.
func (s *Server) grantRefresh(ex *exchange, keep bool) (issued, *refusal) {
	value := ex.form.Get("refresh_token")
	dead := &refusal{code: codeInvalidGrant, credential: value, refresh: true}
	t := s.refresh[value]
	if t == nil {
		dead.detail = "the refresh token is unknown"
		return issued{}, dead
	}
	s.noteReuse(ex, t)
	// The verifier and the redirect address belong to the login. A request
	// that has them wrong does not spend the token.
	if s.cfg.PKCE && !same(ex.form.Get("code_verifier"), t.grant.verifier) {
		dead.detail = "code_verifier is not that of the login"
		return issued{}, dead
	}
	if ex.form.Has("redirect_uri") && ex.form.Get("redirect_uri") != t.grant.redirectURI {
		dead.detail = "redirect_uri is not that of the login"
		return issued{}, dead
	}
	out, why := s.spend(t, keep, s.now())
	if why != "" {
		dead.detail = why
		return issued{}, dead
	}
	s.tally.of(t.grant.account).Refreshes++
	return out, nil
}

// grantCode is RFC 6749, section 4.1.3. s.mu is held.
func (s *Server) grantCode(ex *exchange) (issued, *refusal) {
	value, now := ex.form.Get("code"), s.now()
	dead := &refusal{code: codeInvalidGrant, credential: value}
	c := s.codes[value]
	switch {
	case c == nil:
		dead.detail = "the code is unknown"
	case c.grant != nil:
		// Section 4.1.2: a code used twice SHOULD revoke what it gave.
		s.revoke(c.grant)
		dead.detail = "the code was used before; its grant is revoked"
	case now.Sub(c.login) >= s.cfg.CodeLifetime:
		dead.detail = "the code has expired"
	case ex.form.Get("redirect_uri") != c.redirectURI:
		// Section 4.1.3: identical to that of the authorization request.
		dead.detail = "redirect_uri is not that of the authorization request"
	case s.cfg.PKCE && !c.verify(ex.form.Get("code_verifier")):
		dead.detail = "code_verifier does not match code_challenge"
	}
	if dead.detail != "" {
		return issued{}, dead
	}
	c.grant = &grant{account: c.account, redirectURI: c.redirectURI}
	if s.cfg.PKCE {
		c.grant.verifier = ex.form.Get("code_verifier")
	}
	// Saxo counts the lifetimes from the login. At Schwab login and exchange
	// are at most a code's 30 seconds apart, and the answer's expires_in
	// counts from the exchange.
	since := now
	if s.rules.codeAgesToken {
		since = c.login
	}
	return s.beginGrant(c.grant, since, now), nil
}
