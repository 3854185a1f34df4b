package brokersim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// schwabRules is the dialect of the Schwab Trader API. Its OAuth guide stands
// behind a login at https://developer.schwab.com ("Authenticate with OAuth");
// where a rule rests on what client programs have recorded, the comment says
// so.
func schwabRules() rules {
	return rules{
		// Guide: https://api.schwabapi.com/v1/oauth/{authorize,token}.
		authorizePath: "/v1/oauth/authorize",
		tokenPath:     "/v1/oauth/token",
		// Guide: the account and trading APIs stand under /trader/v1.
		apiPrefix: "/trader/v1/",

		// Guide, example answer: "expires_in": 1800.
		accessLifetime: 1800 * time.Second,
		// Guide: a refresh token is valid for 7 days; afterwards the user has
		// to log in again. A refresh does not extend it.
		refreshLifetime: 7 * 24 * time.Hour,
		sliding:         false,
		// Recorded by client programs (Schwabdev, issue 61): codes die after about
		// 30 seconds.
		codeLifetime: 30 * time.Second,

		// Recorded by client programs (schwab-py, Schwabdev): a refresh
		// usually returns the same refresh token, and it can be used many
		// times.
		rotation: RotationNever,
		// Recorded by client programs (Schwabdev's troubleshooting): a new login
		// of the same user at the same app ends the refresh token of the login
		// before. Schwab's own words for it: UNVERIFIED. A password reset ends it,
		// too (guide); [Server.Revoke] does so.
		loginReplaces: true,

		// Guide, example requests: "Authorization: Basic
		// {BASE64_ENCODED_Client_ID:Client_Secret}", nothing in the body and
		// no code_verifier.
		basic:        true,
		secretInBody: false,
		pkce:         false,

		redirects: schwabRedirects,

		fields:   schwabFields,
		success:  schwabSuccess,
		refuse:   schwabRefusal,
		decorate: schwabDecorate,

		newAccessToken:  func() string { return "I0.b2F1dGgy." + randomText(64) + "@" },
		newRefreshToken: func() string { return randomText(96) + "@" },
		// Recorded by client programs: a code ends in "@", which has to be
		// escaped in a URL.
		newCode: func() string { return "C0.b2F1dGgy." + randomText(32) + "@" },
	}
}

// schwabRedirects: the guide allows several addresses, separated by commas, of
// https alone and with 255 characters in all. They are compared exactly, to the
// slash at the end (Schwabdev's troubleshooting).
func schwabRedirects(registered string) string {
	if len(registered) > 255 {
		return "Schwab takes no more than 255 characters"
	}
	for address := range strings.SplitSeq(registered, ",") {
		if !strings.HasPrefix(address, "https://") {
			return "Schwab takes https:// alone"
		}
	}
	return ""
}

// schwabFields follows the example requests of the guide: grant_type, code and
// redirect_uri; grant_type and refresh_token.
func schwabFields(grantType string, _ bool) fieldRules {
	if grantType == grantCode {
		return fieldRules{required: []string{"code", "redirect_uri"}}
	}
	return fieldRules{required: []string{"refresh_token"}}
}

// schwabSuccess follows the example answer of the guide: 200 and exactly these
// six fields. How long the refresh token lives is not among them.
func schwabSuccess(t issued) (int, map[string]any) {
	return http.StatusOK, map[string]any{
		"expires_in":    seconds(t.expiresIn),
		"token_type":    "Bearer",
		"scope":         "api",
		"refresh_token": t.refreshToken,
		"access_token":  t.accessToken,
		"id_token":      t.idToken,
	}
}

// schwabRefusal words a refusal. A dead refresh token is not called
// invalid_grant: client programs have recorded 400 unsupported_token_type with
// a description that holds another, unescaped JSON text
// (https://github.com/tylerebowers/Schwabdev/issues/40). A dead code is
// answered in the same envelope; its inner words are assumed.
func schwabRefusal(r refusal) Answer {
	if r.code == codeInvalidGrant && r.refresh && r.asInvalidClient {
		// Recorded by client programs (schwab-py's documentation) after seven days.
		return jsonAnswer(http.StatusUnauthorized, map[string]any{
			"error": codeInvalidClient, "error_description": "refresh token invalid",
		})
	}
	switch r.code {
	case codeInvalidGrant:
		sum := sha256.Sum256([]byte(r.credential))
		digest := base64.StdEncoding.EncodeToString(sum[:])
		inner := fmt.Sprintf("Exception while authenticating refresh token [tokenDigest=%s, "+
			"Exception=Failed refresh token authentication [tokenDigest=%s]]", digest, digest)
		kind := "refresh_token_authentication_error"
		if !r.refresh {
			inner, kind = "Bad authorization code: "+digest, "invalid_grant"
		}
		return schwabWrapped(r.deadStatus, inner, kind)
	case codeInvalidClient:
		if r.wrapped {
			return schwabWrapped(http.StatusBadRequest, "Unauthorized", codeInvalidClient)
		}
		// Recorded by client programs: invalid_client, "Unauthorized". The
		// header is a MUST of RFC 6749, section 5.2.
		a := jsonAnswer(http.StatusUnauthorized, map[string]any{
			"error": codeInvalidClient, "error_description": "Unauthorized",
		})
		a.Header.Set("WWW-Authenticate", `Basic realm="schwab"`)
		return a
	}
	return jsonAnswer(http.StatusBadRequest, map[string]any{"error": r.code, "error_description": r.detail})
}

// schwabWrapped is an error inside another one.
func schwabWrapped(status int, description, code string) Answer {
	return jsonAnswer(status, map[string]any{
		"error": "unsupported_token_type",
		"error_description": fmt.Sprintf("%d %s: \"{\"error_description\":\"%s\",\"error\":\"%s\"}\"",
			status, http.StatusText(status), description, code),
	})
}

// schwabDecorate: client programs have recorded ?code=…&session=… on the
// redirect.
func schwabDecorate(q url.Values) { q.Set("session", rand.Text()) }
