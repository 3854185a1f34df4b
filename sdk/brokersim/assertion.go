package brokersim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// maxAssertionLife: RFC 7523, section 3, lets a server refuse an exp that is
	// unreasonably far away; clients of Interactive Brokers ask for a minute.
	maxAssertionLife = 5 * time.Minute
)

// claims of an assertion (RFC 7523, section 3).
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// checkAssertion verifies the JWT by which the client authenticates (RFC 7523,
// sections 2.2 and 3); "": it is good. s.mu is held.
func (s *desk) checkAssertion(form url.Values) string {
	if form.Get("client_assertion_type") != assertionType {
		return "client_assertion_type is not that of a JWT"
	}
	c, why := s.verifyJWT(form.Get("client_assertion"), maxAssertionLife)
	audience := s.rules.audience
	if audience == "" {
		audience = s.TokenURL()
	}
	switch {
	case why != "":
		return why
	case c.Issuer != s.cfg.ClientID || c.Subject != s.cfg.ClientID:
		return "iss and sub of the assertion have to be the client"
	case c.Audience != audience:
		return "aud of the assertion is another one"
	case c.ID == "":
		return "the assertion has no jti"
	case s.assertions[c.ID]:
		return "the assertion was used before" // RFC 7523, section 3, item 7
	}
	s.assertions[c.ID] = true
	return ""
}

// verifyJWT checks signature and times.
func (s *desk) verifyJWT(text string, longest time.Duration) (c claims, why string) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return c, "the assertion is no JWT"
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return c, "the assertion is not in base64url"
		}
	}
	var head struct {
		Algorithm string `json:"alg"`
	}
	if json.Unmarshal(decoded[0], &head) != nil || json.Unmarshal(decoded[1], &c) != nil {
		return c, "the assertion is no JSON"
	}
	now := s.now().Unix()
	switch {
	case !s.signed(head.Algorithm, []byte(parts[0]+"."+parts[1]), decoded[2]):
		return c, "the assertion's signature is wrong"
	case c.Expires <= now:
		return c, "the assertion has expired"
	case c.Expires > now+int64(longest/time.Second):
		return c, fmt.Sprintf("the assertion lives for more than %s", longest)
	case c.Issued > now+5:
		return c, "the assertion is from the future"
	}
	return c, ""
}

// subjectOf is whom an assertion is about by its own word.
func subjectOf(jwt string) string {
	_, rest, _ := strings.Cut(jwt, ".")
	payload, _, _ := strings.Cut(rest, ".")
	var c claims
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(b, &c) != nil {
		return ""
	}
	return c.Subject
}

// signed: the algorithm goes by our key and never by the token (RFC 8725, section
// 3.1).
func (s *desk) signed(algorithm string, text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch key := s.cfg.ClientKey.(type) {
	case *rsa.PublicKey:
		return algorithm == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		if algorithm != "ES256" || len(signature) != 64 {
			return false
		}
		return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return algorithm == "EdDSA" && ed25519.Verify(key, text, signature)
	}
	return false
}

// grantClient is RFC 6749, section 4.4: the client is the account. s.mu is held.
func (s *desk) grantClient(ex *exchange) (issued, *refusal) {
	now := s.now()
	return s.beginGrant(&grant{account: ex.request.Account}, now, now), nil
}

// grantPersonalJWT is Saxo's certificate flow (SaxoBank/openapi-samples-js,
// oauth2-certificate-flow): an RS256 JWT that lives three seconds, of the app's key
// for a person, answered as a code exchange. s.mu is held.
func (s *desk) grantPersonalJWT(ex *exchange) (issued, *refusal) {
	c, why := s.verifyJWT(ex.form.Get("assertion"), 3*time.Second+time.Second) // its seconds are whole ones
	switch {
	case why != "":
	case c.Issuer != s.cfg.ClientID:
		why = "iss of the assertion has to be the app key"
	case c.Audience != s.TokenURL():
		why = "aud of the assertion has to be the token endpoint"
	case c.Subject == "":
		why = "the assertion names no user"
	}
	if why != "" {
		// 401: the person has not accepted the terms, or the key is unknown.
		return issued{}, &refusal{code: codeInvalidClient, detail: why}
	}
	now := s.now()
	return s.beginGrant(&grant{account: c.Subject, redirectURI: s.cfg.RedirectURL}, now, now), nil
}
