package brokersim

import (
	"net/http"
	"net/url"
)

// Token revocation (RFC 7009), which Config.Revokes adds to any dialect that takes forms.
// Every rule is the RFC's, or stricter; no broker's own was read, and that there is one
// which does as RevokesClient says is UNVERIFIED.

// Revocation is what revoking a token ends.
type Revocation string

const (
	// RevokesNothing: there is no such endpoint.
	RevokesNothing Revocation = ""
	// RevokesGrant ends the grant of the token, with its access tokens (section 2.1).
	RevokesGrant Revocation = "grant"
	// RevokesClient ends every grant of the client, whoever has logged in.
	RevokesClient Revocation = "client"
)

const (
	revokePath = "/oauth2/revoke"
	// grantRevoke is no grant type, but what faults call such a request.
	grantRevoke = "revoke"
)

// RevokeURL takes revocations; "": the server has no such thing.
func (s *site) RevokeURL() string {
	if s.cfg.Revokes == RevokesNothing {
		return ""
	}
	return s.URL() + revokePath
}

// parseRevocation reads a revocation, which goes through the windows of a token request.
func (s *desk) parseRevocation(r *http.Request) (url.Values, *refusal) {
	form, refused := s.parseTokenRequest(r)
	if form == nil {
		form = url.Values{}
	}
	form.Set("grant_type", grantRevoke)
	return form, refused
}

// revokedGrant is the grant of a token that is to be revoked; nil: nobody knows it. s.mu is
// held.
func (s *books) revokedGrant(token string) *grant {
	if t := s.refresh[token]; t != nil {
		return t.grant
	}
	if a := s.access[token]; a != nil {
		return a.grant
	}
	return nil
}

// answerRevocation is section 2.2: a token that is unknown, or dead, is as good as
// revoked. s.mu is held.
func (s *desk) answerRevocation(ex *exchange, r *http.Request) Answer {
	a := s.tally.of(ex.request.Account)
	refused := ex.refused
	if refused == nil {
		refused = s.checkRevocation(r, ex.form)
	}
	if refused != nil {
		s.violate(ex.request.Account, refused.String())
		a.Refused++
		return saxoRefusal(*refused) // section 2.2.1: as RFC 6749, section 5.2
	}
	g := s.revokedGrant(ex.form.Get("token"))
	switch {
	case g == nil:
	case s.cfg.Revokes == RevokesClient:
		for _, all := range s.grants {
			for _, other := range all {
				s.revoke(other)
			}
		}
	default:
		s.revoke(g)
	}
	a.Revocations++
	return Answer{Status: http.StatusOK, Header: http.Header{}}
}

// checkRevocation authenticates the client as at the token endpoint (section 2.1), and
// checks the fields. s.mu is held.
func (s *desk) checkRevocation(r *http.Request, form url.Values) *refusal {
	if _, refused := s.authenticate(r, form); refused != nil {
		return refused
	}
	if form.Get("token") == "" {
		return &refusal{code: codeInvalidRequest, detail: "token is missing"}
	}
	for name := range form {
		switch name {
		case "grant_type", "token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type":
		default:
			return &refusal{code: codeInvalidRequest, detail: "parameter " + printable(name) + " does not belong to this request"}
		}
	}
	return nil
}
