package oauth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// seen is what a token endpoint saw of one request.
type seen struct {
	method, path, query, contentType, body string
	header                                 http.Header
}

// record answers every request with body and keeps what came.
func record(t *testing.T, status int, body string) (string, func() []seen) {
	t.Helper()
	var mu sync.Mutex
	var all []seen
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		// serve has parsed a form out of the body already.
		b, _ := io.ReadAll(r.Body)
		text := string(b)
		if text == "" {
			text = r.PostForm.Encode()
		}
		mu.Lock()
		all = append(all, seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), text, r.Header.Clone()})
		mu.Unlock()
		answerWith(status, "application/json", body)(w, r)
	})
	return s.URL, func() []seen {
		mu.Lock()
		defer mu.Unlock()
		return append([]seen(nil), all...)
	}
}

// jwtOf is a token with a claim exp; its signature is none.
func jwtOf(exp any) string {
	b, err := json.Marshal(map[string]any{"exp": exp})
	if err != nil {
		panic(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
}

var camel = map[string][]string{
	"access_token": {"accessToken", "token"}, "refresh_token": {"refreshToken"}, "token_type": {"tokenType"}, "expires_in": {"expiresIn"},
}

// The brokers that leave RFC 6749, with the requests that they want and the
// answers that they give; each in one request.
func TestBrokersOfTheirOwn(t *testing.T) {
	tests := map[string]struct {
		change  func(*Endpoint)
		answer  string
		dated   func() string // makes answer, where it holds a time
		status  int
		request seen // fields that are set are compared
		headers map[string]string
		refresh string
		life    time.Duration
		extra   string
	}{
		"cTrader": {
			change: func(e *Endpoint) {
				e.AuthStyle, e.Requests.Encoding = AuthInParams, EncodingQuery
				e.Answers.Names, e.Errors.Code = camel, "errorCode"
			},
			answer:  `{"accessToken":"A","tokenType":"bearer","expiresIn":2628000,"refreshToken":"R","errorCode":null,"description":null}`,
			request: seen{method: "GET", query: "client_id=app&client_secret=" + canarySecret + "&grant_type=refresh_token&refresh_token=" + canaryRefresh},
			headers: map[string]string{"Cache-Control": "no-store", "Content-Type": ""},
			refresh: "R", life: 2628000 * time.Second,
		},
		"Questrade": {
			change: func(e *Endpoint) {
				e.AuthStyle, e.Requests.Encoding, e.Extra = AuthNone, EncodingQuery, []string{"api_server"}
			},
			answer:  `{"access_token":"A","token_type":"Bearer","expires_in":1800,"refresh_token":"R","api_server":"https://api05"}`,
			request: seen{method: "GET", query: "grant_type=refresh_token&refresh_token=" + canaryRefresh},
			refresh: "R", life: 30 * time.Minute, extra: "https://api05",
		},
		"tastytrade": {
			change: func(e *Endpoint) {
				e.AuthStyle, e.Requests.Encoding = AuthInParams, EncodingJSON
				e.Requests.Header = map[string]string{"User-Agent": "keeper/1.0"}
			},
			answer:  `{"access_token":"A","token_type":"Bearer","expires_in":900}`,
			request: seen{method: "POST", contentType: "application/json", body: `{"client_id":"app","client_secret":"` + canarySecret + `","grant_type":"refresh_token","refresh_token":"` + canaryRefresh + `"}`},
			headers: map[string]string{"User-Agent": "keeper/1.0", "Cache-Control": ""},
			life:    15 * time.Minute,
		},
		"TradeLocker": {
			change: func(e *Endpoint) {
				e.AuthStyle, e.Requests.Encoding = AuthNone, EncodingJSON
				e.EditForm = func(f url.Values) {
					f.Set("refreshToken", f.Get("refresh_token"))
					f.Del("refresh_token")
					f.Del("grant_type")
				}
				e.Answers.Names, e.Answers.JWT = camel, true
			},
			status: 201,
			dated: func() string {
				return `{"accessToken":"` + jwtOf(time.Now().Add(time.Hour).Unix()) + `","refreshToken":"` + jwtOf(time.Now().Add(24*time.Hour).Unix()) + `"}`
			},
			request: seen{method: "POST", body: `{"refreshToken":"` + canaryRefresh + `"}`},
			refresh: "any", life: time.Hour,
		},
		"Tradier": {
			change:  func(e *Endpoint) { e.RefreshURL = strings.TrimSuffix(e.TokenURL, "/token") + "/v1/oauth/refreshtoken" },
			answer:  `{"access_token":"A","expires_in":86399}`,
			request: seen{method: "POST", path: "/v1/oauth/refreshtoken"},
			life:    86399 * time.Second,
		},
		"Zerodha": {
			change:  func(e *Endpoint) { e.Answers.Root = "data" },
			answer:  `{"status":"success","data":{"user_id":"AB1234","access_token":"A","refresh_token":""}}`,
			request: seen{method: "POST"}, life: 20 * time.Minute,
		},
		"Deribit": {
			change:  func(e *Endpoint) { e.Answers.Root, e.Errors.Code = "result", "error.code" },
			answer:  `{"jsonrpc":"2.0","result":{"access_token":"A","refresh_token":"R","expires_in":900,"scope":"s"}}`,
			refresh: "R", life: 15 * time.Minute,
		},
		"Dhan": {
			change: func(e *Endpoint) {
				e.Answers = Answers{Names: camel, ExpiresAt: "expiryTime", Zone: time.FixedZone("IST", 5*3600+1800)}
			},
			dated: func() string {
				return `{"dhanClientId":"1000000401","token":"A","expiryTime":"` + time.Now().UTC().Add(24*time.Hour+5*time.Hour+30*time.Minute).Format("2006-01-02T15:04:05.000") + `"}`
			},
			life: 24 * time.Hour,
		},
		"Tradovate": {
			change: func(e *Endpoint) { e.Answers = Answers{Names: camel, ExpiresAt: "expirationTime"} },
			dated: func() string {
				return `{"accessToken":"A","expirationTime":"` + time.Now().UTC().Add(80*time.Minute).Format(time.RFC3339) + `"}`
			},
			life: 80 * time.Minute,
		},
		"Webull, milliseconds": {
			change: func(e *Endpoint) { e.Answers = Answers{Names: camel, ExpiresAt: "expires"} },
			dated: func() string {
				return fmt.Sprintf(`{"token":"A","expires":%d}`, time.Now().Add(15*24*time.Hour).UnixMilli())
			},
			life: 15 * 24 * time.Hour,
		},
		"Webull, seconds in a text": {
			change: func(e *Endpoint) { e.Answers = Answers{Names: camel, ExpiresAt: "expires"} },
			dated: func() string {
				return fmt.Sprintf(`{"token":"A","expires":"%d"}`, time.Now().Add(15*24*time.Hour).Unix())
			},
			life: 15 * 24 * time.Hour,
		},
		"lifetimes in milliseconds": {
			change: func(e *Endpoint) { e.Answers.Unit = time.Millisecond },
			answer: `{"access_token":"A","refresh_token":"R","expires_in":"900000","refresh_token_expires_in":3600000}`, refresh: "R", life: 15 * time.Minute,
		},
		"Intuit": {
			change: func(e *Endpoint) {
				e.Answers.Names = map[string][]string{"refresh_token_expires_in": {"x_refresh_token_expires_in"}}
			},
			answer:  `{"access_token":"A","refresh_token":"R","expires_in":3600,"x_refresh_token_expires_in":8726400}`,
			refresh: "R", life: time.Hour,
		},
		"a resource (RFC 8707)": {
			change: func(e *Endpoint) {
				e.AuthStyle, e.Requests.Resource = AuthInParams, []string{"https://api.example/mcp", "https://b.example"}
			},
			answer:  goodAnswer,
			request: seen{body: "client_id=app&client_secret=" + canarySecret + "&grant_type=refresh_token&refresh_token=" + canaryRefresh + "&resource=https%3A%2F%2Fapi.example%2Fmcp&resource=https%3A%2F%2Fb.example"},
			refresh: "next", life: 30 * time.Minute,
		},
		// What is declared helps to find a token, and never hides one.
		"declared wrongly": {
			change: func(e *Endpoint) { e.Answers = Answers{Root: "data", Names: camel, ExpiresAt: "x", JWT: true} },
			answer: goodAnswer, refresh: "next", life: 30 * time.Minute,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.status == 0 {
				tt.status = 200
			}
			if tt.dated != nil {
				tt.answer = tt.dated()
			}
			base, requests := record(t, tt.status, tt.answer)
			e := endpointAt(base)
			tt.change(&e)
			token, err := refresh(t, e)
			if err != nil {
				t.Fatal(err)
			}
			all := requests()
			if len(all) != 1 {
				t.Fatalf("%d requests", len(all))
			}
			r := all[0]
			for what, pair := range map[string][2]string{
				"method": {r.method, tt.request.method}, "path": {r.path, tt.request.path}, "query": {r.query, tt.request.query},
				"type": {r.contentType, tt.request.contentType}, "body": {r.body, tt.request.body},
			} {
				if pair[1] != "" && pair[0] != pair[1] {
					t.Errorf("%s %q, want %q", what, pair[0], pair[1])
				}
			}
			for name, want := range tt.headers {
				if got := r.header.Get(name); got != want {
					t.Errorf("header %s: %q, want %q", name, got, want)
				}
			}
			if token.AccessToken.IsZero() || token.Rescued != "" || (tt.refresh == "") != token.RefreshToken.IsZero() ||
				tt.refresh != "any" && token.RefreshToken.Reveal() != tt.refresh {
				t.Errorf("the tokens are not those of the answer; rescued %q", token.Rescued)
			}
			// Times of the answer have whole seconds.
			if d := token.Lifetime - tt.life; d.Abs() > 3*time.Second || token.Uncertain != (name == "Zerodha") {
				t.Errorf("lifetime %s (uncertain %t), want %s", token.Lifetime, token.Uncertain, tt.life)
			}
			if token.Extra["api_server"] != tt.extra {
				t.Errorf("extra %v", token.Extra)
			}
			wantRefreshLife := map[string]time.Duration{"TradeLocker": 24 * time.Hour, "Intuit": 8726400 * time.Second, "lifetimes in milliseconds": time.Hour}[name]
			if (token.RefreshLifetime - wantRefreshLife).Abs() > 3*time.Second {
				t.Errorf("the refresh token lives %s, want %s", token.RefreshLifetime, wantRefreshLife)
			}
		})
	}
}

// An error inside of a success is seen before the token beside it, and a new
// refresh token beside it is kept; an echo is none.
func TestErrorsOfTheirOwn(t *testing.T) {
	const fresh = "r2-the-new-one"
	kinds := map[string]sdk.Kind{"ACCESS_DENIED": sdk.KindInvalidGrant, "13009": sdk.KindInvalidGrant, "10028": sdk.KindRateLimited, "BAD_REFRESH_TOKEN": sdk.KindInvalidGrant, "invalid_grant": sdk.KindInvalidGrant}
	status := func(n int) Errors { return Errors{Statuses: map[int]sdk.Kind{n: sdk.KindInvalidGrant}} }
	code := func(path string) Errors { return Errors{Code: path, Kinds: kinds} }
	tests := map[string]struct {
		errors  Errors
		status  int
		body    string
		media   string
		kind    sdk.Kind // "": a token
		shown   string
		refresh string
		access  string
	}{
		"none":                                     {errors: code("errorCode"), body: `{"accessToken":"A","refreshToken":"` + fresh + `","errorCode":null}`, refresh: fresh, access: "A"},
		"none, by its value":                       {errors: Errors{Code: "s", Success: []string{"ok"}}, body: `{"s":"ok","access_token":"A"}`, access: "A"},
		"not the value of a success":               {errors: Errors{Code: "s", Success: []string{"ok"}}, body: `{"s":"error","code":-16}`, kind: sdk.KindTransient, shown: "error"},
		"in a 200":                                 {errors: code("errorCode"), body: `{"accessToken":null,"refreshToken":null,"errorCode":"ACCESS_DENIED"}`, kind: sdk.KindInvalidGrant, shown: "ACCESS_DENIED"},
		"in a 200, not listed":                     {errors: code("errorCode"), body: `{"errorCode":"` + canaryBody + `"}`, kind: sdk.KindTransient},
		"beside an access token":                   {errors: code("errorCode"), body: `{"accessToken":"A","errorCode":"SLOW"}`, kind: sdk.KindTransient, shown: "SLOW"},
		"beside a new refresh token":               {errors: code("errorCode"), body: `{"accessToken":"A","refreshToken":"` + fresh + `","errorCode":"SLOW"}`, refresh: fresh},
		"dead, beside a new refresh token":         {errors: code("errorCode"), body: `{"refreshToken":"` + fresh + `","errorCode":"ACCESS_DENIED"}`, refresh: fresh},
		"dead, beside an echo":                     {errors: code("errorCode"), body: `{"refreshToken":"` + canaryRefresh + `","errorCode":"ACCESS_DENIED"}`, kind: sdk.KindInvalidGrant, shown: "ACCESS_DENIED"},
		"slow, beside an echo":                     {errors: code("errorCode"), body: `{"refreshToken":"` + canaryRefresh + `","errorCode":"SLOW"}`, kind: sdk.KindTransient, shown: "SLOW"},
		"a number, nested":                         {errors: code("error.code"), body: `{"error":{"code":13009,"message":"unauthorized"}}`, kind: sdk.KindInvalidGrant, shown: "13009"},
		"about the rate, in a 200":                 {errors: code("error.code"), body: `{"error":{"code":10028}}`, kind: sdk.KindRateLimited, shown: "10028"},
		"in a list":                                {errors: code("errors.0.errorCode"), status: 401, body: `{"status":"error","errors":[{"errorCode":"ACCESS_DENIED"}]}`, kind: sdk.KindInvalidGrant, shown: "ACCESS_DENIED"},
		"HubSpot":                                  {errors: code("status"), status: 400, body: `{"status":"BAD_REFRESH_TOKEN","message":"x"}`, kind: sdk.KindInvalidGrant, shown: "BAD_REFRESH_TOKEN"},
		"Auth0's 403":                              {errors: code(""), status: 403, body: `{"error":"invalid_grant"}`, kind: sdk.KindInvalidGrant, shown: "invalid_grant"},
		"a 500 decides nothing":                    {errors: code("errorCode"), status: 500, body: `{"errorCode":"ACCESS_DENIED"}`, kind: sdk.KindTransient},
		"a page decides nothing":                   {errors: code("errorCode"), status: 400, media: "text/html", body: `{"errorCode":"ACCESS_DENIED"}`, kind: sdk.KindTransient},
		"cut decides nothing":                      {errors: code("errorCode"), status: 400, body: `{"errorCode":"ACCESS_DENIED"`, kind: sdk.KindTransient},
		"Questrade":                                {errors: Errors{Statuses: map[int]sdk.Kind{400: sdk.KindInvalidGrant}}, status: 400, media: "text/plain", body: "Bad Request", kind: sdk.KindInvalidGrant},
		"Questrade, a page":                        {errors: Errors{Statuses: map[int]sdk.Kind{400: sdk.KindInvalidGrant}}, status: 400, media: "text/html", body: "Bad Request", kind: sdk.KindTransient},
		"Questrade, JSON":                          {errors: Errors{Statuses: map[int]sdk.Kind{400: sdk.KindInvalidGrant}}, status: 400, body: "{}", kind: sdk.KindInvalidGrant},
		"a status, and an error that nobody knows": {errors: status(401), status: 401, body: `{"error":"invalid_token"}`, kind: sdk.KindInvalidGrant, shown: "invalid_token"},
		"a status, and the RFC's error":            {errors: status(401), status: 401, body: `{"error":"temporarily_unavailable"}`, kind: sdk.KindTransient, shown: "temporarily_unavailable"},
		"a status, and the RFC's error in a 403":   {errors: status(403), status: 403, body: `{"error":"invalid_client"}`, kind: sdk.KindInvalidClient, shown: "invalid_client"},
		"a status, and an error of its own":        {errors: Errors{Code: "errorCode", Kinds: map[string]sdk.Kind{"BUSY": sdk.KindTransient}, Statuses: status(401).Statuses}, status: 401, body: `{"errorCode":"BUSY"}`, kind: sdk.KindTransient, shown: "BUSY"},
		"a status, and another of its own":         {errors: Errors{Code: "errorCode", Statuses: status(401).Statuses}, status: 401, body: `{"errorCode":"GONE"}`, kind: sdk.KindInvalidGrant, shown: "GONE"},
		"a status, and a long page":                {errors: status(401), status: 401, media: "text/plain", body: strings.Repeat("down for now ", 40), kind: sdk.KindTransient},
		"a status that decides nothing":            {errors: Errors{Statuses: map[int]sdk.Kind{403: sdk.KindTransient}}, status: 403, media: "text/plain", kind: sdk.KindTransient},
		"the RFC's beside a declared code":         {errors: code("errorCode"), status: 400, body: `{"error":"invalid_grant"}`, kind: sdk.KindInvalidGrant, shown: "invalid_grant"},
		"the same in a 200":                        {errors: code("errorCode"), body: `{"error":"invalid_grant"}`, kind: sdk.KindInvalidGrant, shown: "invalid_grant"},
		"its own word before the RFC's":            {errors: code("errorCode"), status: 400, body: `{"error":"invalid_grant","errorCode":"10028"}`, kind: sdk.KindRateLimited, shown: "10028"},
		"a success by its own word":                {errors: Errors{Code: "s", Success: []string{"ok"}}, body: `{"s":"ok","error":"invalid_grant"}`, kind: sdk.KindAmbiguous},
		"a token, and a member called error":       {errors: code("errorCode"), body: `{"accessToken":"A","error":"none"}`, access: "A"},
		"a code with a hyphen":                     {errors: code("errorCode"), body: `{"errorCode":"DH-901"}`, kind: sdk.KindTransient, shown: "DH-901"},
		"a negative code":                          {errors: code("error.code"), body: `{"error":{"code":-32602}}`, kind: sdk.KindTransient, shown: "-32602"},
		"a code that may be a token":               {errors: code("errorCode"), body: `{"errorCode":"Zk3f9Q0aXb7T"}`, kind: sdk.KindTransient},
		"a code that is too long":                  {errors: code("errorCode"), body: `{"errorCode":"` + strings.Repeat("LONG_", 20) + `"}`, kind: sdk.KindTransient},
		"never a 429":                              {errors: Errors{Statuses: map[int]sdk.Kind{429: sdk.KindInvalidGrant}}, status: 429, media: "text/plain", kind: sdk.KindRateLimited},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answerWith(max(tt.status, 200), or(tt.media, "application/json"), tt.body))
			e := endpointAt(s.URL)
			e.Errors, e.Answers.Names = tt.errors, camel
			token, err := refresh(t, e)
			if s.count() != 1 {
				t.Errorf("%d requests", s.count())
			}
			if tt.kind != "" {
				wantKind(t, err, tt.kind)
				if e, _ := err.(*sdk.Error); e == nil || e.OAuthError != tt.shown {
					t.Errorf("shown %+v, want %q", e, tt.shown)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if token.RefreshToken.Reveal() != tt.refresh || token.AccessToken.Reveal() != tt.access {
				t.Errorf("took %q and %q, want %q and %q", token.AccessToken.Reveal(), token.RefreshToken.Reveal(), tt.access, tt.refresh)
			}
		})
	}
}

// A wrong clock of this machine moves no expiry that the server names.
func TestMomentsCountFromTheServersClock(t *testing.T) {
	received := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	server := received.Add(-3 * time.Hour)
	a := answer{meta: meta{Status: 200, Received: received, Date: server.Format(http.TimeFormat)}}
	for name, tt := range map[string]struct {
		body string
		want time.Duration
		sure bool
	}{
		"a moment":            {`{"access_token":"A","at":"2026-03-02T06:20:00Z"}`, 20 * time.Minute, true},
		"a moment with zone":  {`{"access_token":"A","at":"2026-03-02T11:50:00+05:30"}`, 20 * time.Minute, true},
		"a moment in a space": {`{"access_token":"A","at":"2026-03-02 06:20:00"}`, 20 * time.Minute, true},
		"nested":              {`{"access_token":"A","at":null,"x":1}`, 20 * time.Minute, false},
		"past":                {`{"access_token":"A","at":"2026-03-02T05:00:00Z"}`, -time.Hour, true},
		"now":                 {`{"access_token":"A","at":"2026-03-02T06:00:00Z"}`, -1, true},
		"far":                 {`{"access_token":"A","at":"9999-01-01T00:00:00Z"}`, maxLifetime, true},
		"no moment":           {`{"access_token":"A","at":"soon"}`, 20 * time.Minute, false},
		"a lifetime first":    {`{"access_token":"A","expires_in":60,"at":"2026-03-02T06:20:00Z"}`, time.Minute, true},
		"a JWT":               {`{"access_token":"` + jwtOf(server.Add(time.Hour).Unix()) + `"}`, time.Hour, true},
		"a JWT without exp":   {`{"access_token":"` + jwtOf(nil) + `"}`, 20 * time.Minute, false},
		"no JWT":              {`{"access_token":"a.b"}`, 20 * time.Minute, false},
	} {
		e := endpointAt("https://broker.example")
		e.Answers = Answers{ExpiresAt: "at", JWT: true}
		a.body = []byte(tt.body)
		token, err := e.read("main", a)
		if err != nil || token.Lifetime != tt.want || token.Uncertain == tt.sure {
			t.Errorf("%s: %s, uncertain %t, %v; want %s", name, token.Lifetime, token.Uncertain, err, tt.want)
		}
	}
}
