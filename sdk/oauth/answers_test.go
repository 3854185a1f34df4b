package oauth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Every answer below comes over HTTP, costs exactly one POST, and is read as
// the table says.
func TestAnswers(t *testing.T) {
	const js, html = "application/json;charset=UTF-8", "text/html"
	huge := strings.Repeat("x", maxBody) + canaryBody
	tests := map[string]struct {
		status      int
		contentType string
		body        string
		headers     []string
		kind        sdk.Kind // "": a token
		oauthError  string
		retryAfter  time.Duration
	}{
		"200":                        {status: 200, contentType: js, body: goodAnswer},
		"201, as Saxo":               {status: 201, contentType: js, body: goodAnswer},
		"202":                        {status: 202, contentType: js, body: goodAnswer},
		"token labelled HTML":        {status: 200, contentType: html, body: goodAnswer},
		"token behind a BOM":         {status: 200, contentType: js, body: "\xef\xbb\xbf" + goodAnswer},
		"token before garbage":       {status: 200, contentType: js, body: goodAnswer + "\n<!-- cached -->"},
		"token as a form":            {status: 200, contentType: "application/x-www-form-urlencoded", body: "access_token=a&expires_in=5"},
		"token and an error":         {status: 200, contentType: js, body: `{"access_token":"a","error":"invalid_grant"}`},
		"invalid_grant":              {status: 400, contentType: js, body: `{"error":"invalid_grant","error_description":"` + canaryBody + `"}`, kind: sdk.KindInvalidGrant, oauthError: "invalid_grant"},
		"invalid_grant as 401":       {status: 401, contentType: js, body: `{"error":"invalid_grant"}`, kind: sdk.KindInvalidGrant, oauthError: "invalid_grant"},
		"invalid_grant as 200":       {status: 200, contentType: js, body: `{"error":"invalid_grant"}`, kind: sdk.KindInvalidGrant, oauthError: "invalid_grant"},
		"invalid_grant as 500":       {status: 500, contentType: js, body: `{"error":"invalid_grant"}`, kind: sdk.KindTransient},
		"invalid_grant as 403":       {status: 403, contentType: js, body: `{"error":"invalid_grant"}`, kind: sdk.KindTransient},
		"invalid_grant in HTML":      {status: 400, contentType: html, body: `{"error":"invalid_grant"}`, kind: sdk.KindTransient},
		"invalid_grant, cut":         {status: 400, contentType: js, body: `{"error":"invalid_grant"`, kind: sdk.KindTransient},
		"invalid_grant, more behind": {status: 400, contentType: js, body: `{"error":"invalid_grant"}{"error":"x"}`, kind: sdk.KindTransient},
		"invalid_grant nested":       {status: 400, contentType: js, body: `{"error":{"error":"invalid_grant"}}`, kind: sdk.KindTransient},
		"invalid_grant in a list":    {status: 400, contentType: js, body: `[{"error":"invalid_grant"}]`, kind: sdk.KindTransient},
		"invalid_client":             {status: 401, contentType: js, body: `{"error":"invalid_client"}`, kind: sdk.KindInvalidClient, oauthError: "invalid_client"},
		"invalid_client on a page":   {status: 401, contentType: "text/html", body: `{"error":"invalid_client"}`, kind: sdk.KindTransient},
		"invalid_client as 500":      {status: 500, contentType: js, body: `{"error":"invalid_client"}`, kind: sdk.KindTransient},
		"invalid_client in capitals": {status: 401, contentType: js, body: `{"error":"INVALID_CLIENT"}`, kind: sdk.KindTransient},
		"unauthorized_client":        {status: 400, contentType: js, body: `{"error":"unauthorized_client"}`, kind: sdk.KindInvalidClient, oauthError: "unauthorized_client"},
		"invalid_request":            {status: 400, contentType: js, body: `{"error":"invalid_request"}`, kind: sdk.KindTransient, oauthError: "invalid_request"},
		"a secret as error code":     {status: 400, contentType: js, body: `{"error":"` + canaryRefresh + `"}`, kind: sdk.KindTransient},
		"401 without a body":         {status: 401, contentType: js, kind: sdk.KindTransient},
		"HTML 403":                   {status: 403, contentType: html, body: "<h1>Access Denied</h1>" + canaryBody, kind: sdk.KindTransient},
		"HTML 400":                   {status: 400, contentType: html, body: "<p>invalid_grant</p>", kind: sdk.KindTransient},
		"500":                        {status: 500, contentType: html, body: canaryBody, kind: sdk.KindTransient},
		"503 and Retry-After":        {status: 503, contentType: html, headers: []string{"Retry-After", "120"}, kind: sdk.KindRateLimited, retryAfter: 2 * time.Minute},
		"429":                        {status: 429, contentType: js, kind: sdk.KindRateLimited},
		"429 with invalid_grant":     {status: 429, contentType: js, body: `{"error":"invalid_grant"}`, headers: []string{"Retry-After", "7"}, kind: sdk.KindRateLimited, retryAfter: 7 * time.Second},
		"429 for a year":             {status: 429, contentType: js, headers: []string{"Retry-After", "31536000"}, kind: sdk.KindRateLimited, retryAfter: maxRetryAfter},
		"invalid_grant, Retry-After": {status: 400, contentType: js, body: `{"error":"invalid_grant"}`, headers: []string{"Retry-After", "7"}, kind: sdk.KindInvalidGrant, oauthError: "invalid_grant"},
		"200 with HTML":              {status: 200, contentType: html, body: "<p>" + canaryBody, kind: sdk.KindAmbiguous},
		"200 with nothing":           {status: 200, contentType: js, kind: sdk.KindAmbiguous},
		"200 with half a token":      {status: 200, contentType: js, body: goodAnswer[:40], kind: sdk.KindAmbiguous},
		"200 with Access_Token":      {status: 200, contentType: js, body: `{"Access_Token":"a"}`, kind: sdk.KindAmbiguous},
		"200, too long":              {status: 200, contentType: js, body: huge, kind: sdk.KindAmbiguous},
		"502, too long":              {status: 502, contentType: html, body: huge, kind: sdk.KindTransient},
		"204":                        {status: 204, kind: sdk.KindAmbiguous},
		"302":                        {status: 302, headers: []string{"Location", "/elsewhere"}, kind: sdk.KindTransient},
		"307":                        {status: 307, headers: []string{"Location", "/elsewhere"}, kind: sdk.KindTransient},
		"308":                        {status: 308, headers: []string{"Location", "/elsewhere"}, kind: sdk.KindTransient},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answerWith(tt.status, tt.contentType, tt.body, tt.headers...))
			token, err := refresh(t, endpointAt(s.URL))
			if n := s.count(); n != 1 {
				t.Errorf("the server saw %d requests, want 1", n)
			}
			if tt.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				if token.AccessToken.IsZero() {
					t.Error("no access token")
				}
				return
			}
			wantKind(t, err, tt.kind)
			var e *sdk.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T is no *sdk.Error", err)
			}
			if e.HTTPStatus != tt.status || e.OAuthError != tt.oauthError || e.RetryAfter != tt.retryAfter {
				t.Errorf("HTTP %d, code %q, retry after %s; want HTTP %d, code %q, %s",
					e.HTTPStatus, e.OAuthError, e.RetryAfter, tt.status, tt.oauthError, tt.retryAfter)
			}
		})
	}
}

func TestTokenFields(t *testing.T) {
	date := time.Now().Add(90 * time.Second).UTC().Truncate(time.Second)
	s := serve(t, answerWith(201, "application/json",
		`{"access_token":"A","refresh_token":"R","token_type":"Bearer","scope":"api","id_token":"I","expires_in":1200,
		"refresh_token_expires_in":"3600","base_uri":"https://gateway","other":"x"}`, "Date", date.Format("Mon, 02 Jan 2006 15:04:05 GMT")))
	e := endpointAt(s.URL)
	e.Extra = []string{"base_uri", "absent"}
	e.Private = map[string]sdk.Secret{"code_verifier": sdk.NewSecret("V")}
	before := time.Now()
	token, err := refresh(t, e)
	if err != nil {
		t.Fatal(err)
	}
	if token.AccessToken.Reveal() != "A" || token.RefreshToken.Reveal() != "R" || token.IDToken.Reveal() != "I" ||
		token.TokenType != "Bearer" || token.Scope != "api" {
		t.Errorf("wrong fields: %+v", token)
	}
	if token.Lifetime != 20*time.Minute || token.RefreshLifetime != time.Hour {
		t.Errorf("lifetimes %s and %s", token.Lifetime, token.RefreshLifetime)
	}
	if token.IssuedAt.Before(before.Round(0)) || token.IssuedAt.After(time.Now()) {
		t.Errorf("issued at %s", token.IssuedAt)
	}
	if want := date.Sub(token.IssuedAt); token.Skew != want {
		t.Errorf("skew %s, want %s", token.Skew, want)
	}
	if len(token.Extra) != 1 || token.Extra["base_uri"] != "https://gateway" {
		t.Errorf("extra %v", token.Extra)
	}
	if token.Private["code_verifier"].Reveal() != "V" {
		t.Error("the private values are lost")
	}
}

func TestMissingRefreshTokenStaysMissing(t *testing.T) {
	for _, body := range []string{`{"access_token":"A"}`, `{"access_token":"A","refresh_token":null}`, `{"access_token":"A","refresh_token":""}`} {
		s := serve(t, answerWith(200, "application/json", body))
		token, err := refresh(t, endpointAt(s.URL))
		if err != nil {
			t.Fatal(err)
		}
		if !token.RefreshToken.IsZero() {
			t.Errorf("%s: a refresh token out of nowhere", body)
		}
	}
}

// The code of an error inside another one is what everybody hears of, unless it is no code.
func TestInnerError(t *testing.T) {
	s := serve(t, answerWith(400, "application/json", `{"error":"odd_one","error_description":"`+canaryBody+`"}`))
	for inner, want := range map[string]string{"invalid_client": "invalid_client", "": "odd_one", canaryBody: "odd_one"} {
		e := endpointAt(s.URL)
		var classified string
		e.Classify = func(o OAuthError) sdk.Kind { classified = o.Code; return "" }
		e.Inner = func(o OAuthError) string {
			if o != (OAuthError{HTTPStatus: 400, Code: "odd_one", Description: canaryBody}) {
				t.Errorf("it saw %+v", o)
			}
			return inner
		}
		_, err := refresh(t, e)
		var told *sdk.Error
		if !errors.As(err, &told) || told.OAuthError != want || classified != want || (told.Kind == sdk.KindInvalidClient) != (want == inner && inner != "") {
			t.Errorf("inner %q: %+v, classified %q", inner, told, classified)
		}
	}
}

func TestClassifyDecides(t *testing.T) {
	s := serve(t, answerWith(400, "application/json", `{"error":"odd_one","error_description":"`+canaryBody+`"}`))
	e := endpointAt(s.URL)
	var got OAuthError
	e.Classify = func(o OAuthError) sdk.Kind {
		got = o
		return sdk.KindInvalidGrant
	}
	_, err := refresh(t, e)
	wantKind(t, err, sdk.KindInvalidGrant)
	if got != (OAuthError{HTTPStatus: 400, Code: "odd_one", Description: canaryBody}) {
		t.Errorf("classify saw %+v", got)
	}
}
