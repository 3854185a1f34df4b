package brokersim

import (
	"fmt"
	"net/url"
	"time"
)

// rules is one broker's dialect: what differs between the authorization
// servers. The rest of the package reads it and never asks for a broker's
// name.
type rules struct {
	authorizePath, tokenPath string
	// apiPrefix of the protected resources.
	apiPrefix string

	accessLifetime, refreshLifetime, codeLifetime time.Duration

	rotation Rotation
	// sliding: each refresh starts the refresh token's lifetime anew. If not,
	// it counts from the login.
	sliding bool
	// loginReplaces: a new login ends the earlier grants of the same user.
	loginReplaces bool
	// codeAgesToken: the lifetimes count from the login and not from the code
	// exchange.
	codeAgesToken bool
	// pkce: public clients with a code verifier are known.
	pkce bool
	// basic, secretInBody: how a client with a secret may authenticate (RFC
	// 6749, section 2.3.1).
	basic, secretInBody bool
	// loopbackPortFree: the port of a public client's redirect address is not
	// compared (RFC 8252, section 7.3).
	loopbackPortFree bool

	machinery

	// query: the parameters stand in the address of a GET; emptyPost: or of a POST
	// without a body. Neither: in a form.
	query, emptyPost bool
	// tokenHeader carries an access token instead of Authorization.
	tokenHeader string
	// accountField names the person in a request that has no other credential.
	accountField string
	// codeBurns: a failed exchange spends the code.
	codeBurns bool
	// clientless: a token request names no client at all.
	clientless bool
	// assertion: the client authenticates by a JWT (RFC 7523) for audience; "":
	// the token endpoint.
	assertion bool
	audience  string
	// personalJWT: the certificate flow of Saxo, for apps with a Config.ClientKey.
	personalJWT bool
	// grantTypes of the token endpoint; nil: refresh_token and authorization_code.
	grantTypes []string
	// redirects says what is wrong with the registered redirect addresses; nil: RFC
	// 9700 has one, compared exactly.
	redirects func(registered string) string
	// denied is the error_description of a login that was refused.
	denied string

	// fields names the parameters of a token request beyond grant_type and
	// client authentication.
	fields func(grantType string, pkce bool) fieldRules
	// success builds the answer to a granted request.
	success func(issued) (status int, fields map[string]any)
	// refuse builds the answer to a refused request.
	refuse func(refusal) Answer
	// decorate adds what this broker puts on the way back to the redirect
	// address.
	decorate func(url.Values)

	newAccessToken, newRefreshToken, newCode func() string
}

// fieldRules lists the parameters of one kind of token request. RFC 6749,
// section 3.2, tells servers to ignore others; a simulator that did so could
// not show that a client sends what the broker documents, so it refuses them.
type fieldRules struct{ required, optional []string }

// refusal is why a token request is refused, before a dialect words it.
type refusal struct {
	// code as RFC 6749, section 5.2, has it.
	code   string
	detail string
	// credential is the refresh token or code that was refused, for dialects
	// that answer a digest of it.
	credential string
	// refresh: the credential is a refresh token.
	refresh bool
	// status for a dead grant, from the configuration.
	deadStatus int
	// asInvalidClient: the configuration wants a dead refresh token called so.
	asInvalidClient bool
	// wrapped: the configuration wants a refused client told inside another error.
	wrapped bool
}

func (r refusal) String() string { return fmt.Sprintf("%s: %s", r.code, r.detail) }

// issued is what a granted request receives.
type issued struct {
	accessToken, refreshToken, idToken string
	expiresIn, refreshExpiresIn        time.Duration
	expires                            time.Time
	baseURI, account                   string
}

const (
	codeInvalidRequest       = "invalid_request"
	codeInvalidClient        = "invalid_client"
	codeInvalidGrant         = "invalid_grant"
	codeUnsupportedGrantType = "unsupported_grant_type"

	grantRefresh = "refresh_token"
	grantCode    = "authorization_code"
	grantClient  = "client_credentials"
	// grantPersonal is Saxo's; the others are no grant types of a broker's, but
	// what faults and limits call the requests.
	grantPersonal = "urn:saxobank:oauth:grant-type:personal-jwt"
	grantRenew    = "renew"
	grantTOTP     = "totp"
)

func rulesOf(d Dialect) rules {
	switch d {
	case Schwab:
		return schwabRules()
	case Saxo:
		return saxoRules()
	}
	if rules, ok := kinds()[d]; ok {
		return rules
	}
	panic(fmt.Sprintf("brokersim: unknown Config.Dialect %q; it is one of the package's constants, such as brokersim.Schwab", d))
}

func seconds(d time.Duration) int { return int(d / time.Second) }
