package brokersim

import (
	"net/http"
	"net/url"
	"time"
)

// saxoRules is the dialect of Saxo Bank's OpenAPI. Sources:
//
//	-
//	-
//	- [js]: https://github.com/SaxoBank/openapi-samples-js
//	- [sample]: https://github.com/SaxoBank/openapi-samples-php, folder
//	  authentication, Saxo's own sample programs
//
// [code]: https://www.developer.saxo/openapi/learn/oauth-authorization-code-grant
// [pkce]: https://www.developer.saxo/openapi/learn/oauth-authorization-code-grant-pkce
func saxoRules() rules {
	return rules{
		// [code]: AuthenticationUrl + "/authorize" and + "/token", where
		// AuthenticationUrl is https://{sim,live}.logonvalidation.net.
		authorizePath: "/authorize",
		tokenPath:     "/token",
		// [code]: https://gateway.saxobank.com/sim/openapi/.
		apiPrefix: "/openapi/",

		// [code], example answer: "expires_in": 1200. The refresh token's life
		// stands in refresh_token_expires_in. [js] says an hour; that an environment
		// has another one is UNVERIFIED, and 40 minutes stand here because they are
		// stricter. An outage at the weekend that is longer ends every grant.
		accessLifetime:  1200 * time.Second,
		refreshLifetime: SaxoSimRefreshLifetime,
		sliding:         true,
		// Long on purpose: [sample] warns that expires_in is negative when an
		// old code is exchanged, so a code outlives the access token.
		codeLifetime:  time.Hour,
		codeAgesToken: true,

		// [code]: a refresh answers a new refresh token, which must be used
		// the next time. One spent token is refused, and RFC 9700, section
		// 4.14.2, has the server revoke the active one then too.
		rotation: RotationAlways,

		// [code]: client id and secret as Basic, or as client_id and
		// client_secret in the body; not both (RFC 6749, section 2.3).
		basic:        true,
		secretInBody: true,
		// [pkce]: an app of the kind PKCE has no secret.
		pkce: true,
		// [pkce] and RFC 8252, section 7.3: native apps listen on any port.
		loopbackPortFree: true,

		// [js], oauth2-certificate-flow.
		personalJWT: true,
		// [js], which knows no other reason: a person has to accept something.
		denied: "Disclaimers not accepted during login.",

		fields:  saxoFields,
		success: saxoSuccess,
		refuse:  saxoRefusal,
		// RFC 6749, section 4.1.2: code and state, nothing more.
		decorate: func(url.Values) {},

		newAccessToken:  func() string { return unsignedJWT(600) },
		newRefreshToken: randomUUID,
		newCode:         randomUUID,
	}
}

// saxoFields: [code] and [pkce]. A PKCE refresh carries redirect_uri and
// code_verifier and no client id, because the verifier stands in for it.
func saxoFields(grantType string, pkce bool) fieldRules {
	switch {
	case grantType == grantPersonal:
		return fieldRules{required: []string{"assertion"}}
	case grantType == grantCode && pkce:
		return fieldRules{required: []string{"client_id", "code", "redirect_uri", "code_verifier"}}
	case grantType == grantCode:
		return fieldRules{required: []string{"code", "redirect_uri"}}
	case pkce:
		return fieldRules{required: []string{"refresh_token", "redirect_uri", "code_verifier"}}
	}
	return fieldRules{required: []string{"refresh_token"}, optional: []string{"redirect_uri"}}
}

// saxoSuccess: [sample] takes nothing but 201 Created for success, and [code]
// lists these fields.
func saxoSuccess(t issued) (int, map[string]any) {
	return http.StatusCreated, map[string]any{
		"access_token":             t.accessToken,
		"token_type":               "Bearer",
		"expires_in":               seconds(t.expiresIn),
		"refresh_token":            t.refreshToken,
		"refresh_token_expires_in": seconds(t.refreshExpiresIn),
		"base_uri":                 t.baseURI,
	}
}

// saxoRefusal: RFC 6749, section 5.2, which [code] refers to.
func saxoRefusal(r refusal) Answer {
	status := http.StatusBadRequest
	switch r.code {
	case codeInvalidGrant:
		status = r.deadStatus
	case codeInvalidClient:
		status = http.StatusUnauthorized
	}
	a := jsonAnswer(status, map[string]any{"error": r.code, "error_description": r.detail})
	if r.code == codeInvalidClient {
		a.Header.Set("WWW-Authenticate", `Basic realm="saxo"`)
	}
	return a
}
