package oauth

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func checkOf(settings map[string]string) sdk.CheckRequest {
	return sdk.CheckRequest{Account: sdk.Account{Name: "main", Settings: settings}, Token: sdk.Token{AccessToken: sdk.NewSecret(canaryAccess)}}
}

// What each answer says of the token, with one request and no word of the answer. The token
// goes to nobody else.
func TestCheck(t *testing.T) {
	var elsewhere, asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	var answers atomic.Pointer[http.HandlerFunc]
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+canaryAccess || r.ContentLength != 0 {
			t.Errorf("asked %s %s, with a body of %d", r.Method, r.Header.Get("Authorization"), r.ContentLength)
		}
		(*answers.Load())(w, r)
	}))
	defer broker.Close()
	says := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		answers http.HandlerFunc
		kind    sdk.Kind // "": it is accepted
		want    string
	}{
		"accepted":          {says(200, `[{"accountNumber":"canary-answer"}]`, "Content-Type", "application/json"), "", ""},
		"without a content": {says(204, ""), "", ""},
		"endless":           {says(200, "["+strings.Repeat(" ", 2*mostOfCheck), "Content-Type", "application/json"), "", ""},
		"refused":           {says(401, `{"message":"canary-answer"}`), sdk.KindInvalidGrant, "refuses the access token (HTTP 401)"},
		"not allowed":       {says(403, "canary-answer"), sdk.KindTransient, "answered HTTP 403, which says nothing of the token"},
		"too often":         {says(429, "", "Retry-After", "7"), sdk.KindRateLimited, "asks to come back later (HTTP 429)"},
		"in maintenance":    {says(503, "", "Retry-After", "7"), sdk.KindRateLimited, "asks to come back later (HTTP 503)"},
		"broken":            {says(500, "canary-answer"), sdk.KindTransient, "answered HTTP 500"},
		"to another host":   {says(307, "", "Location", other.URL), sdk.KindTransient, "a redirect, which is not followed"},
		"a portal":          {says(200, "<html>canary-answer", "Content-Type", "text/html"), sdk.KindTransient, "a web page in the place of JSON"},
		"cut off":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, sdk.KindTransient, "was asked and has not answered"},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			answers.Store(&tt.answers)
			err := (&Client{}).Check(t.Context(), broker.URL+"/accounts", checkOf(map[string]string{SettingProxy: noProxy}))
			switch {
			case tt.kind == "" && err != nil:
				t.Errorf("it is not accepted: %v", err)
			case tt.kind != "" && (err == nil || sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("kind %s: %v, want %s, %s", sdk.KindOf(err), err, tt.kind, tt.want)
			case err != nil && strings.Contains(err.Error(), "canary"):
				t.Errorf("it quotes: %v", err)
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("the token went to another host")
	}
}

// Nothing is sent to where others could read it, nor without a token; and nobody is waited for for ever.
func TestCheckThatIsNotSent(t *testing.T) {
	none := checkOf(nil)
	none.Token = sdk.Token{}
	for address, tt := range map[string]struct {
		req  sdk.CheckRequest
		kind sdk.Kind
		want string
	}{
		"http://api.example/x":  {checkOf(nil), sdk.KindInvalidClient, "check_url must begin with https://"},
		"https://api.example/x": {none, sdk.KindNotSent, "there is no access token"},
		"https://api.example/y": {checkOf(map[string]string{SettingProxy: "canary"}), sdk.KindInvalidClient, "the setting proxy is not the address of a proxy"},
	} {
		if err := (&Client{}).Check(t.Context(), address, tt.req); sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: kind %s: %v", address, sdk.KindOf(err), err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		hangs := &Client{Dial: func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nil, errors.New("too late")
		}}
		if err := hangs.Check(t.Context(), "https://api.example/x", checkOf(map[string]string{SettingProxy: noProxy})); sdk.KindOf(err) != sdk.KindNotSent || time.Since(begun) > checkTimeout {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		time.Sleep(2 * time.Hour) // until nobody dials any more
	})
}
