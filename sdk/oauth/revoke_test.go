package oauth

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

func revocationOf(settings map[string]string) sdk.RevokeRequest {
	return sdk.RevokeRequest{
		Account: sdk.Account{Name: "main", ClientID: "app", ClientSecret: sdk.NewSecret(canarySecret), Settings: settings},
		Token:   sdk.Token{AccessToken: sdk.NewSecret(canaryAccess), RefreshToken: sdk.NewSecret(canaryRefresh)},
	}
}

// What each answer says of the token that was to be revoked, with one request and no word
// of the answer but an error's code.
func TestRevokeAnswers(t *testing.T) {
	says := func(status int, contentType, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	const json = "application/json"
	for name, tt := range map[string]struct {
		answer  http.HandlerFunc
		kind    sdk.Kind // "": it is revoked
		nothing bool     // was revoked
		want    string
	}{
		"revoked":             {says(200, "text/plain", ""), "", false, ""},
		"with a word":         {says(200, json, `{"status":"`+canaryBody+`"}`), "", false, ""},
		"without a content":   {says(204, "", ""), "", false, ""},
		"in maintenance":      {says(503, "text/plain", canaryBody, "Retry-After", "7"), sdk.KindRateLimited, true, "come back later (HTTP 503)"},
		"busy":                {says(503, "text/plain", ""), sdk.KindRateLimited, true, "(HTTP 503)"},
		"too often":           {says(429, json, `{}`, "Retry-After", "7"), sdk.KindRateLimited, true, "(HTTP 429)"},
		"not of this kind":    {says(400, json, `{"error":"unsupported_token_type","error_description":"`+canaryBody+`"}`), sdk.KindTransient, true, "does not revoke tokens of this kind (HTTP 400, unsupported_token_type)"},
		"a stranger":          {says(401, json, `{"error":"invalid_client"}`), sdk.KindInvalidClient, true, "refused the client (HTTP 401, invalid_client): check client_id"},
		"malformed":           {says(400, json, `{"error":"invalid_request"}`), sdk.KindTransient, true, "refused that (HTTP 400, invalid_request)"},
		"not there":           {says(404, "text/html", "<html>"+canaryBody), sdk.KindTransient, true, "answered HTTP 404: a web page"},
		"broken":              {says(500, "text/plain", canaryBody), sdk.KindAmbiguous, false, "answered HTTP 500, which does not say whether the token is revoked"},
		"took too long there": {says(408, "text/plain", ""), sdk.KindAmbiguous, false, "HTTP 408"},
		"elsewhere":           {says(307, "text/plain", "", "Location", "http://127.0.0.1:1/"), sdk.KindAmbiguous, false, "a redirect, which is not followed"},
		"a portal":            {says(200, "text/html", "<html>"+canaryBody), sdk.KindAmbiguous, false, "a web page in the place of JSON"},
		"an error in it":      {says(200, json, `{"error":"invalid_request"}`), sdk.KindTransient, true, "refused that (HTTP 200, invalid_request)"},
		"cut off":             {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, sdk.KindAmbiguous, false, "the request was sent to"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.answer)
			err := (&Client{}).Revoke(t.Context(), Endpoint{RevokeURL: s.URL + "/revoke", AuthStyle: AuthInHeader}, revocationOf(map[string]string{SettingProxy: noProxy}))
			switch {
			case tt.kind == "" && err != nil:
				t.Errorf("it is not revoked: %v", err)
			case tt.kind != "" && (err == nil || sdk.KindOf(err) != tt.kind || sdk.RevokedNothing(err) != tt.nothing || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("kind %s, nothing revoked: %t: %v; want %s, %t, %s", sdk.KindOf(err), sdk.RevokedNothing(err), err, tt.kind, tt.nothing, tt.want)
			case err != nil && strings.Contains(err.Error(), "canary"):
				t.Errorf("it quotes: %v", err)
			}
			if n := s.count(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// The client authenticates as at a refresh, and the request has what RFC 7009 names and
// no more.
func TestRevokeRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		style   oauth2.AuthStyle
		edit    func(*sdk.RevokeRequest)
		form    string
		inBasic bool
	}{
		"in the header":     {AuthInHeader, func(*sdk.RevokeRequest) {}, "token=" + canaryRefresh + " token_type_hint=refresh_token", true},
		"in the parameters": {AuthInParams, func(*sdk.RevokeRequest) {}, "client_id=app client_secret=" + canarySecret + " token=" + canaryRefresh + " token_type_hint=refresh_token", false},
		"a public client": {AuthInParams, func(r *sdk.RevokeRequest) { r.Account.ClientSecret = sdk.Secret{} },
			"client_id=app token=" + canaryRefresh + " token_type_hint=refresh_token", false},
		"no client": {AuthNone, func(*sdk.RevokeRequest) {}, "token=" + canaryRefresh + " token_type_hint=refresh_token", false},
		"without a refresh token": {AuthInHeader, func(r *sdk.RevokeRequest) { r.Token.RefreshToken = sdk.Secret{} },
			"token=" + canaryAccess + " token_type_hint=access_token", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(http.ResponseWriter, *http.Request) {})
			req := revocationOf(map[string]string{SettingProxy: noProxy})
			tt.edit(&req)
			e := Endpoint{TokenURL: "https://login.example/token", RevokeURL: s.URL + "/revoke", AuthStyle: tt.style, Requests: Requests{Encoding: EncodingQuery, Header: map[string]string{"X-App": "1"}}}
			if err := (&Client{}).Revoke(t.Context(), e, req); err != nil {
				t.Fatal(err)
			}
			r := s.posts[0]
			var form []string
			for _, field := range []string{"client_id", "client_secret", "token", "token_type_hint"} {
				if v, ok := s.forms[0][field]; ok {
					form = append(form, field+"="+v[0])
				}
			}
			id, secret, basic := r.BasicAuth()
			if strings.Join(form, " ") != tt.form || len(form) != len(s.forms[0]) || basic != tt.inBasic || basic && (id != "app" || secret != canarySecret) {
				t.Errorf("the form is %v, the client in the header: %t", s.forms[0], basic)
			}
			if r.Method != http.MethodPost || r.URL.Path != "/revoke" || r.URL.RawQuery != "" || r.Header.Get("X-App") != "1" {
				t.Errorf("asked %s %s", r.Method, r.URL)
			}
		})
	}
}

// Nothing is sent where it can't be right, and nobody is waited for for ever.
func TestRevokeThatIsNotSent(t *testing.T) {
	none := revocationOf(nil)
	none.Token = sdk.Token{}
	for name, tt := range map[string]struct {
		e    Endpoint
		req  sdk.RevokeRequest
		want string
	}{
		"in clear text":   {Endpoint{RevokeURL: "http://login.example/x", AuthStyle: AuthInHeader}, revocationOf(nil), "revoke_url must begin with https://"},
		"no token":        {Endpoint{RevokeURL: "https://login.example/x", AuthStyle: AuthInHeader}, none, "there is no token that could be revoked"},
		"a broken proxy":  {Endpoint{RevokeURL: "https://login.example/x", AuthStyle: AuthInHeader}, revocationOf(map[string]string{SettingProxy: "canary"}), "the setting proxy is not"},
		"no style":        {Endpoint{RevokeURL: "https://login.example/x"}, revocationOf(nil), "AuthStyle"},
		"a fault of ours": {Endpoint{Fault: Misconfigured("main", "client_secret is missing")}, revocationOf(nil), "client_secret is missing"},
	} {
		if err := (&Client{}).Revoke(t.Context(), tt.e, tt.req); err == nil || !sdk.RevokedNothing(err) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: kind %s: %v", name, sdk.KindOf(err), err)
		}
	}
	if err := (&Client{}).Revoke(t.Context(), Endpoint{TokenURL: "https://login.example/token", AuthStyle: AuthInHeader}, revocationOf(nil)); err != sdk.ErrUnimplemented {
		t.Errorf("no address: %v", err)
	}
}

// A simulated broker refuses what was revoked; one that does not answer is not waited for
// for long, and nobody says then what became of the token.
func TestRevokeAtABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := brokersim.New(brokersim.Config{Dialect: brokersim.Xero, Revokes: brokersim.RevokesGrant})
		defer sim.Close()
		g := sim.Grant("main")
		req := revocationOf(nil)
		req.Account.ClientID, req.Account.ClientSecret = sim.Config().ClientID, sdk.NewSecret(sim.Config().ClientSecret)
		req.Token.RefreshToken = sdk.NewSecret(g.RefreshToken)
		client, e := &Client{Dial: sim.Dial}, Endpoint{RevokeURL: sim.RevokeURL(), AuthStyle: AuthInHeader}
		gate := sim.HoldNext("main")
		begun := time.Now()
		if err := client.Revoke(t.Context(), e, req); sdk.KindOf(err) != sdk.KindAmbiguous || time.Since(begun) != revokeTimeout {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		gate.Drop()
		if !sim.RefreshValid(g.RefreshToken) {
			t.Error("it is revoked")
		}
		if err := client.Revoke(t.Context(), e, req); err != nil || sim.RefreshValid(g.RefreshToken) {
			t.Errorf("it lives: %v", err)
		}
		if err := client.Revoke(t.Context(), e, req); err != nil {
			t.Errorf("once more: %v", err)
		}
		if v := sim.Violations(); len(v) > 0 {
			t.Errorf("the broker complains: %+v", v)
		}
	})
}
