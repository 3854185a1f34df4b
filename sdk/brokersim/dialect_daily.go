package brokersim

import (
	"net/http"
	"time"
)

// The dialects of this file have no refresh token: a grant is one access token, and
// what renews it, keeps it alive or mints the next one.

// upstoxRules. Sources: upstox/upstox-python (form, secret in the body, the shape
// of errors), public programs (every token ends at half past three, also one that
// was made an hour before; a failed exchange burns the code). The answer's other
// members and the codes of errors are UNVERIFIED.
func upstoxRules() rules {
	r := rfcRules("/v2/login/authorization/token")
	r.authorizePath = "/v2/login/authorization/dialog"
	r.basic, r.secretInBody, r.codeBurns, r.noRefreshToken = false, true, true, true
	r.grantTypes = []string{grantCode}
	r.accessLifetime = 24 * time.Hour // the clock is sooner
	r.diesAt = &WallClock{Hour: 3, Minute: 30, Zone: india}
	r.success = func(t issued) (int, map[string]any) {
		return http.StatusOK, map[string]any{"user_id": t.account, "access_token": t.accessToken, "extended_token": ""}
	}
	r.refuse = func(f refusal) Answer {
		return jsonAnswer(http.StatusUnauthorized, map[string]any{
			"status": "error", "errors": []map[string]string{{"errorCode": "UDAPI100068", "message": f.String()}},
		})
	}
	return r
}

// dhanRules. Sources: dhan-oss/DhanHQ-py, auth.py (the addresses, the headers, the
// secrets in the query of a POST, GET for the renewal), public programs (renewing
// and minting end the token before at once; a time of India without a zone; errors
// in a 200). A TOTP code is taken once, as RFC 6238, section 5.2, demands. How many
// failures an hour are too many is UNVERIFIED: five here.
func dhanRules() rules {
	r := rfcRules("/app/consumeApp-consent")
	r.basic, r.noRefreshToken, r.replacesAccess, r.sessions = false, true, true, 1
	r.grantTypes = []string{} // its login by consent is left out
	r.mintPath, r.accountField = "/app/generateAccessToken", "dhanClientId"
	r.renewPath, r.tokenHeader = "/v2/RenewToken", "access-token"
	r.accessLifetime, r.failedPerHour = 24*time.Hour, 5
	r.success = func(t issued) (int, map[string]any) {
		return http.StatusOK, map[string]any{
			"dhanClientId": t.account, "accessToken": t.accessToken, "expiryTime": t.expires.In(india).Format("2006-01-02T15:04:05.000"),
		}
	}
	r.refuse = func(f refusal) Answer {
		return jsonAnswer(http.StatusOK, map[string]any{"status": "error", "message": f.String()})
	}
	return r
}

// tradovateRules. Sources: partner.tradovate.com (the renewal by GET that opens no
// session, eighty minutes; clients have also seen ninety; 429 without a body, wait
// an hour), tradovate/example-api-faq (two sessions). Fifteen renewals an hour are
// read at second hand. Its login by password is left out; [Server.Grant] logs in.
func tradovateRules() rules {
	r := rfcRules("/v1/auth/oauthtoken")
	r.basic, r.secretInBody, r.noRefreshToken, r.sessions = false, true, true, 2
	r.grantTypes = []string{grantCode}
	r.renewPath = "/v1/auth/renewaccesstoken"
	r.perHour = map[string]int{grantRenew: 15}
	r.accessLifetime = 80 * time.Minute
	r.success = func(t issued) (int, map[string]any) {
		return http.StatusOK, map[string]any{
			"accessToken": t.accessToken, "expirationTime": t.expires.UTC().Format(time.RFC3339), "userStatus": "Active", "hasLive": true,
		}
	}
	r.refuse = func(f refusal) Answer {
		return jsonAnswer(http.StatusOK, map[string]any{"errorText": f.String()})
	}
	return r
}

// ibkrRules is the OAuth 2.0 of Interactive Brokers, with one token for its two
// steps. Sources: its OpenAPI text, 2.28.0 (the path, the scope, 86399 seconds,
// problem+json, the answer to a tickle), public clients (aud is the text /token, an
// assertion of a minute with a jti). That a session dies after six minutes without
// a beat is what client authors write; the vendor says several: UNVERIFIED. A session
// that another one has taken is told as competing, in the answer to a tickle; that each
// new login takes it, and not only one that asks for it (compete), is UNVERIFIED.
func ibkrRules() rules {
	r := rfcRules("/oauth2/api/v1/token")
	r.basic, r.assertion, r.audience = false, true, "/token"
	r.noRefreshToken, r.sessions, r.idle = true, 1, 6*time.Minute
	r.grantTypes = []string{grantClient}
	r.keepalivePath, r.apiPrefix = "/v1/api/tickle", "/v1/api/"
	r.accessLifetime = 86399 * time.Second
	r.fields = func(string, bool) fieldRules {
		return fieldRules{required: []string{"scope", "client_assertion_type", "client_assertion"}, optional: []string{"client_id"}}
	}
	r.success = func(t issued) (int, map[string]any) {
		out := rfcAnswer(t)
		delete(out, "refresh_token")
		out["scope"] = "sso-sessions.write"
		return http.StatusOK, out
	}
	r.refuse = func(f refusal) Answer {
		status := http.StatusBadRequest
		if f.code == codeInvalidClient {
			status = http.StatusUnauthorized
		}
		a := jsonAnswer(status, map[string]any{"type": "/invalid-argument", "title": f.String(), "status": status})
		a.Header.Set("Content-Type", "application/problem+json")
		return a
	}
	return r
}
