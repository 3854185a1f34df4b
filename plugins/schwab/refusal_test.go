package schwab_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// deadToken is what client programs recorded, with another digest
// (https://github.com/tylerebowers/Schwabdev/issues/40).
const deadToken = `{"error":"unsupported_token_type","error_description":"400 Bad Request: \"{\"error_description\":\"Exception while authenticating refresh token [tokenDigest=canary\/1=, Exception=Failed refresh token authentication [tokenDigest=canary\/1=]]\",\"error\":\"refresh_token_authentication_error\"}\""}`

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   sdk.Kind
	}{
		"a dead refresh token":    {400, deadToken, sdk.KindInvalidGrant},
		"with spaces":             {400, strings.ReplaceAll(deadToken, `\":\"`, `\" : \"`), sdk.KindInvalidGrant},
		"escaped once more":       {400, strings.ReplaceAll(deadToken, `\"`, `\\\"`), sdk.KindInvalidGrant},
		"under another status":    {500, deadToken, sdk.KindTransient},
		"inner error unknown":     {400, strings.Replace(deadToken, "refresh_token_authentication_error", "backend_timeout", 1), sdk.KindTransient},
		"only in the words":       {400, `{"error":"unsupported_token_type","error_description":"refresh_token_authentication_error"}`, sdk.KindTransient},
		"no description":          {400, `{"error":"unsupported_token_type"}`, sdk.KindTransient},
		"braces without JSON":     {400, `{"error":"unsupported_token_type","error_description":"} {"}`, sdk.KindTransient},
		"inner invalid_client":    {400, strings.Replace(deadToken, "refresh_token_authentication_error", "invalid_client", 1), sdk.KindInvalidClient},
		"plain invalid_grant":     {400, `{"error":"invalid_grant"}`, sdk.KindInvalidGrant},
		"plain invalid_client":    {401, `{"error":"invalid_client","error_description":"Unauthorized"}`, sdk.KindInvalidClient},
		"another outer error":     {400, strings.Replace(deadToken, "unsupported_token_type", "server_error", 1), sdk.KindTransient},
		"a page: Access Denied":   {403, "<HTML><TITLE>Access Denied</TITLE></HTML>", sdk.KindTransient},
		"invalid_grant on a page": {403, "<HTML>invalid_grant</HTML>", sdk.KindTransient},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer s.Close()
			_, err := schwab.New().Refresh(t.Context(), sdk.RefreshRequest{
				Account: account(map[string]string{"token_url": s.URL}),
				Token:   sdk.Token{RefreshToken: sdk.NewSecret("R")},
			})
			if sdk.KindOf(err) != tt.want || err == nil {
				t.Errorf("kind %s, want %s: %v", sdk.KindOf(err), tt.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

// That the client is refused is told as the RFC has it, where it is surely told: then the
// next one of a list of secrets is presented.
func TestRefusedClient(t *testing.T) {
	inner := strings.Replace(deadToken, "refresh_token_authentication_error", "invalid_client", 1)
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"plain":                    {401, `{"error":"invalid_client","error_description":"Unauthorized"}`, "invalid_client"},
		"inside":                   {400, inner, "invalid_client"},
		"inside, under 401":        {401, strings.Replace(inner, "400 Bad Request", "401 Unauthorized", 1), "invalid_client"},
		"escaped once more":        {400, strings.ReplaceAll(inner, `\"`, `\\\"`), "invalid_client"},
		"under another status":     {401, inner, "unsupported_token_type"},
		"without the status line":  {400, strings.Replace(inner, "400 Bad Request: ", "", 1), "unsupported_token_type"},
		"with words around it":     {400, strings.Replace(inner, `\"{`, `see {`, 1), "unsupported_token_type"},
		"another code of its kind": {400, strings.Replace(inner, "invalid_client", "unauthorized_client", 1), "unsupported_token_type"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}))
		_, err := schwab.New().Refresh(t.Context(), sdk.RefreshRequest{
			Account: account(map[string]string{"token_url": s.URL}), Token: sdk.Token{RefreshToken: sdk.NewSecret("R")},
		})
		s.Close()
		var told *sdk.Error
		if !errors.As(err, &told) || told.Kind != sdk.KindInvalidClient || told.OAuthError != tt.want {
			t.Errorf("%s: %+v, want invalid_client as %s", name, told, tt.want)
		}
	}
}

func account(settings map[string]string) sdk.Account {
	return sdk.Account{
		Name: "main", ClientID: "app-key", ClientSecret: sdk.NewSecret("app-secret"),
		RedirectURL: "https://127.0.0.1:8182", Settings: settings,
	}
}
