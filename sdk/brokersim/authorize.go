package brokersim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// login is who sits at the browser.
type login struct {
	account string
	deny    bool
}

// authCode is an authorization code on its way (RFC 6749, section 4.1.2).
type authCode struct {
	account         string
	redirectURI     string
	challenge       string
	challengeMethod string
	login           time.Time
	grant           *grant // set once it was exchanged
}

// persons are those who log in, at the authorize page or with a device's code, and what
// is on its way because of that.
type persons struct {
	books
	login   login
	codes   map[string]*authCode
	devices map[string]*deviceLogin
}

// LoginAs names the account that logs in at the authorize page from now on.
// The query parameter login_hint of one request overrides it.
func (s *persons) LoginAs(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login.account = account
}

// DenyNextLogin lets the person refuse the next login, which the client learns
// as access_denied (RFC 6749, section 4.1.2.1).
func (s *persons) DenyNextLogin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login.deny = true
}

// serveAuthorize logs in at once and redirects with code and state. A wrong
// client or redirect address is told to the person and never redirected; any
// other fault goes back to the client (RFC 6749, section 4.1.2.1).
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || repeated(q) != "" {
		http.Error(w, "the query is malformed or repeats a parameter", http.StatusBadRequest)
		return
	}
	if q.Get("client_id") != s.cfg.ClientID {
		http.Error(w, "unknown client_id", http.StatusBadRequest)
		return
	}
	back, ok := s.redirectTarget(q.Get("redirect_uri"))
	if !ok {
		http.Error(w, "redirect_uri is not the registered one", http.StatusBadRequest)
		return
	}
	answer := back.Query()
	if q.Has("state") {
		answer.Set("state", q.Get("state"))
	}
	if fault := s.authorizeFault(q); fault != "" {
		answer.Set("error", codeInvalidRequest)
		answer.Set("error_description", fault)
	} else if code := s.logIn(q); code == "" {
		answer.Set("error", "access_denied")
		if s.rules.denied != "" {
			answer.Set("error_description", s.rules.denied)
		}
	} else {
		answer.Set("code", code)
		s.rules.decorate(answer)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// authorizeFault checks what remains to be checked once the redirect address
// is trusted; "" is good.
func (s *site) authorizeFault(q url.Values) string {
	if q.Get("response_type") != "code" {
		return "response_type has to be code"
	}
	if !s.cfg.PKCE {
		return "" // unknown parameters are ignored (RFC 6749, section 3.1)
	}
	// RFC 7636, sections 4.2 and 4.4.1.
	if n := len(q.Get("code_challenge")); n < 43 || n > 128 {
		return "code_challenge of 43 to 128 characters required"
	}
	switch q.Get("code_challenge_method") {
	case "", "plain", "Plain", "S256":
		return ""
	}
	return "code_challenge_method has to be S256 or plain"
}

// logIn issues a code, or "" if the person refuses.
func (s *persons) logIn(q url.Values) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.login.deny {
		s.login.deny = false
		return ""
	}
	c := &authCode{
		account:     s.login.account,
		redirectURI: q.Get("redirect_uri"),
		challenge:   q.Get("code_challenge"), challengeMethod: q.Get("code_challenge_method"),
		login: s.now(),
	}
	if hint := q.Get("login_hint"); hint != "" {
		c.account = hint
	}
	code := s.rules.newCode()
	s.codes[code] = c
	s.notify()
	return code
}

// redirectTarget checks a redirect address by exact comparison (RFC 9700,
// section 2.1), but for the port of a native app.
func (s *site) redirectTarget(uri string) (*url.URL, bool) {
	got, err := url.Parse(uri)
	if err != nil || uri == "" {
		return nil, false
	}
	if slices.Contains(strings.Split(s.cfg.RedirectURL, ","), uri) {
		return got, true
	}
	want, err := url.Parse(s.cfg.RedirectURL)
	if err != nil || !s.cfg.PKCE || !s.rules.loopbackPortFree || !isLoopback(want.Hostname()) {
		return nil, false
	}
	bare := *got
	bare.Host, want.Host = got.Hostname(), want.Hostname()
	return got, bare.String() == want.String()
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// verify is RFC 7636, section 4.6.
func (c *authCode) verify(verifier string) bool {
	if n := len(verifier); n < 43 || n > 128 { // section 4.1
		return false
	}
	if c.challengeMethod == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return same(verifier, c.challenge)
}

// same compares secrets in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
