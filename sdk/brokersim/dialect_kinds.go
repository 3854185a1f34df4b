package brokersim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// kinds are the dialects that stand for a kind of broker each. They have what is
// peculiar to their token endpoints and leave out the rest of those brokers. A rule
// that no source was read for says UNVERIFIED, and no client may rely on it.
func kinds() map[Dialect]rules {
	return map[Dialect]rules{
		Questrade: questradeRules(), CTrader: ctraderRules(), Intuit: intuitRules(), Xero: xeroRules(),
		Upstox: upstoxRules(), Dhan: dhanRules(), Tradovate: tradovateRules(), IBKR: ibkrRules(),
	}
}

// rfcRules is RFC 6749 with client authentication by Basic: what the dialects of
// this file change.
func rfcRules(tokenPath string) rules {
	return rules{
		authorizePath: "/oauth2/authorize", tokenPath: tokenPath, apiPrefix: "/api/",
		accessLifetime: time.Hour, refreshLifetime: forEver, codeLifetime: 10 * time.Minute, // RFC 6749, section 4.1.2
		rotation: RotationNever, basic: true,
		fields: func(grantType string, _ bool) fieldRules {
			if grantType == grantCode {
				return fieldRules{required: []string{"code", "redirect_uri"}}
			}
			return fieldRules{required: []string{"refresh_token"}}
		},
		success:        func(t issued) (int, map[string]any) { return http.StatusOK, rfcAnswer(t) },
		refuse:         saxoRefusal, // RFC 6749, section 5.2
		decorate:       func(url.Values) {},
		newAccessToken: func() string { return randomText(48) }, newRefreshToken: func() string { return randomText(48) },
		newCode: func() string { return randomText(24) },
	}
}

// forEver is how long a refresh token lives that has no end.
const forEver = 10 * 365 * 24 * time.Hour

func rfcAnswer(t issued) map[string]any {
	return map[string]any{
		"access_token": t.accessToken, "token_type": "Bearer", "expires_in": seconds(t.expiresIn), "refresh_token": t.refreshToken,
	}
}

// questradeRules. Sources: the client questrade_api (GET, no client), the READMEs
// of QuestradeApiWrapper and questrade_client (seven days), and public programs
// (api_server, an empty POST). A refusal is the plain text Bad Request (Questrade's
// documentation, read at second hand).
func questradeRules() rules {
	r := rfcRules("/oauth2/token")
	r.query, r.emptyPost, r.clientless, r.basic = true, true, true, false
	r.grantTypes = []string{grantRefresh} // the first one is copied from a page
	r.rotation = RotationAlways
	r.accessLifetime = 1800 * time.Second
	r.refreshLifetime, r.sliding = 7*24*time.Hour, true // of refreshed tokens: UNVERIFIED
	r.success = func(t issued) (int, map[string]any) {
		out := rfcAnswer(t)
		// Another server from time to time; consumers need it.
		out["api_server"] = fmt.Sprintf("https://api%02d.iq.questrade.com/", 1+rand.Text()[0]%7)
		return http.StatusOK, out
	}
	r.refuse = func(refusal) Answer {
		return *Respond(http.StatusBadRequest, "text/plain; charset=utf-8", "Bad Request").Answer
	}
	return r
}

// ctraderRules. Sources: spotware/OpenApiPy (GET, names, errorCode, single use),
// help.ctrader.com/open-api (a minute for the code, no end of the refresh token
// until it is used or the user authorizes again), openapi-proto-messages (event
// 2147: the access token before is invalidated by a refresh). The codes of errors
// are UNVERIFIED, and so is POST, which is refused here.
func ctraderRules() rules {
	r := rfcRules("/apps/token")
	r.query, r.basic, r.secretInBody = true, false, true
	r.rotation, r.loginReplaces, r.replacesAccess = RotationAlways, true, true
	r.accessLifetime, r.codeLifetime = 2_628_000*time.Second, 60*time.Second
	r.success = func(t issued) (int, map[string]any) {
		return http.StatusOK, map[string]any{
			"accessToken": t.accessToken, "tokenType": "bearer", "expiresIn": seconds(t.expiresIn), "refreshToken": t.refreshToken,
			"errorCode": nil, "description": nil,
		}
	}
	r.refuse = func(f refusal) Answer {
		code := "INVALID_REQUEST"
		switch f.code {
		case codeInvalidGrant:
			code = "ACCESS_DENIED"
		case codeInvalidClient:
			code = "CH_CLIENT_AUTH_FAILURE"
		}
		return jsonAnswer(http.StatusOK, map[string]any{
			"accessToken": nil, "tokenType": nil, "expiresIn": nil, "refreshToken": nil,
			"errorCode": code, "description": f.String(),
		})
	}
	return r
}

// intuitRules. Sources: intuit/oauth-jsclient (Basic, x_refresh_token_expires_in,
// realmId) and its issue 74 (the value changes about once a day, and the one before
// works for another day). That each refresh starts the lifetime anew: UNVERIFIED.
func intuitRules() rules {
	r := rfcRules("/oauth2/v1/tokens/bearer")
	r.rotation, r.reuseGrace = RotationDaily, 24*time.Hour
	r.refreshLifetime, r.sliding = 8_726_400*time.Second, true
	r.success = func(t issued) (int, map[string]any) {
		out := rfcAnswer(t)
		out["x_refresh_token_expires_in"] = seconds(t.refreshExpiresIn)
		return http.StatusOK, out
	}
	r.decorate = func(q url.Values) { q.Set("realmId", "9130347957983546") }
	return r
}

// xeroRules. Sources: XeroAPI/xero-node (Basic, half an hour, rotation, sixty days
// unused), and community.xero.com, question 105714701 (the old token can be sent
// again for half an hour if the answer was lost).
func xeroRules() rules {
	r := rfcRules("/connect/token")
	r.rotation, r.reuseGrace = RotationAlways, 30*time.Minute
	r.accessLifetime = 1800 * time.Second
	r.refreshLifetime, r.sliding = 60*24*time.Hour, true
	return r
}
