package brokersim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
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
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, parse func(*http.Request) (url.Values, *refusal)) {
	if allowed := s.methods(r.URL.Path); !slices.Contains(allowed, r.Method) {
		only := strings.Join(allowed, ", ")
		s.mu.Lock()
		s.violate("", "the token endpoint takes "+only+" only")
		s.mu.Unlock()
		w.Header().Set("Allow", only)
		http.Error(w, only+" only", http.StatusMethodNotAllowed)
		return
	}
	form, refused := parse(r)
	ex, fault := s.receive(form, refused)
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

// methods of one of the endpoints that hand out tokens.
func (s *site) methods(path string) []string {
	switch {
	case path == s.rules.renewPath:
		return []string{http.MethodGet}
	case path != s.rules.tokenPath || !s.rules.query:
		return []string{http.MethodPost} // RFC 6749, section 3.2
	case s.rules.emptyPost:
		return []string{http.MethodGet, http.MethodPost}
	}
	return []string{http.MethodGet}
}

// receive opens the request: whose it is, and which fault it meets.
func (s *Server) receive(form url.Values, refused *refusal) (*exchange, *Fault) {
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
	} else {
		ex.request.Account = s.accountOf(form)
	}
	a := s.tally.of(ex.request.Account)
	a.Posts++
	a.OpenReceived++
	ex.request.Number = a.Posts
	return ex, s.pick(ex.request)
}

// accountOf says whose a request without refresh token and code is. s.mu is held.
func (s *desk) accountOf(form url.Values) string {
	switch form.Get("grant_type") {
	case grantRenew:
		if a := s.access[form.Get("access_token")]; a != nil {
			return a.grant.account
		}
	case grantRevoke:
		if g := s.revokedGrant(form.Get("token")); g != nil {
			return g.account
		}
	case grantPersonal:
		return subjectOf(form.Get("assertion"))
	case grantClient:
		return s.login.account
	case grantDevice:
		if d := s.devices[form.Get("device_code")]; d != nil {
			return d.account
		}
	case grantTOTP:
		return form.Get(s.rules.accountField)
	}
	return ""
}

// noteReuse lists the request if it carries a spent refresh token. s.mu is
// held.
func (s *books) noteReuse(ex *exchange, t *refreshToken) {
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

	if ex.request.GrantType == grantRevoke {
		return s.answerRevocation(ex, r)
	}
	refused := ex.refused
	if refused == nil && ex.request.GrantType != grantRenew && ex.request.GrantType != grantTOTP {
		refused = s.checkTokenRequest(r, ex.form)
	}
	if refused != nil {
		s.violate(ex.request.Account, refused.String())
		if t := s.refresh[ex.form.Get("refresh_token")]; t != nil && refused.code == codeInvalidClient && s.cfg.SpendsFirst {
			s.spend(t, false, s.now())
		}
	}
	if refused == nil && s.overLimit(ex.request.Account, ex.request.GrantType) {
		a.Refused++
		return tooMany()
	}
	var out issued
	if refused == nil {
		out, refused = s.grantRequest(ex, fault != nil && fault.KeepRefreshToken)
	}
	if refused != nil {
		a.Refused++
		refused.deadStatus, refused.wrapped = s.cfg.DeadGrantStatus, s.cfg.WrapsInvalidClient
		return s.rules.refuse(*refused)
	}
	return jsonAnswer(s.rules.success(out))
}

// grantRequest grants one request or says why not. s.mu is held.
func (s *desk) grantRequest(ex *exchange, keep bool) (issued, *refusal) {
	switch ex.request.GrantType {
	case grantRefresh:
		return s.grantRefresh(ex, keep)
	case grantCode:
		return s.grantCode(ex)
	case grantClient:
		return s.grantClient(ex)
	case grantPersonal:
		return s.grantPersonalJWT(ex)
	case grantRenew:
		return s.grantRenewal(ex)
	case grantDevice:
		return s.grantDevice(ex)
	default:
		return s.grantMint(ex)
	}
}

// grantRefresh is RFC 6749, section 6. s.mu is held.
func (s *desk) grantRefresh(ex *exchange, keep bool) (issued, *refusal) {
	value := ex.form.Get("refresh_token")
	dead := &refusal{code: codeInvalidGrant, credential: value, refresh: true, asInvalidClient: s.cfg.DeadAsInvalidClient}
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
func (s *desk) grantCode(ex *exchange) (issued, *refusal) {
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
		if c != nil && s.rules.codeBurns {
			delete(s.codes, value)
		}
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
