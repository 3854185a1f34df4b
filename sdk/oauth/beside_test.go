package oauth

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Whatever a success says beside it, a
// refresh token that is not the one that was sent is the newest.
func TestNewRefreshTokenBesideAnErrorIsKept(t *testing.T) {
	const long = "new-refresh-token-0123456789abcdef"
	own := Endpoint{Errors: Errors{Code: "error"}}
	sent := sdk.NewSecret("old-refresh-token-0123456789abcdef").Fingerprint()
	for name, tc := range map[string]struct {
		e          Endpoint
		body, want string
	}{
		"invalid_grant in the RFC's words":  {Endpoint{}, `{"error":"invalid_grant","refresh_token":"` + long + `"}`, long},
		"invalid_client in the RFC's words": {Endpoint{}, `{"error":"invalid_client","refresh_token":"` + long + `"}`, long},
		"short, in the RFC's words":         {Endpoint{}, `{"error":"busy","access_token":"acc-0123456789abcdef0123","refresh_token":"n-77"}`, "n-77"},
		"short, in the server's words":      {own, `{"error":"busy","access_token":"acc-0123456789abcdef0123","refresh_token":"n-77"}`, "n-77"},
	} {
		a := answer{meta: meta{Status: 200, ContentType: "application/json", Received: time.Now(), Sent: sent}, body: []byte(tc.body)}
		if got, err := tc.e.read("a", a); err != nil || got.RefreshToken.Reveal() != tc.want {
			t.Errorf("%s: lost the new refresh token: %v", name, err)
		}
	}
}

// A blank refresh token is none: the one that was sent stays.
func TestBlankRefreshTokenIsNone(t *testing.T) {
	a := answer{meta: meta{Status: 200, ContentType: "application/json", Received: time.Now()}, body: []byte(`{"access_token":"acc-0123456789abcdef0123","refresh_token":" \t"}`)}
	if got, err := (Endpoint{}).read("a", a); err != nil || !got.RefreshToken.IsZero() || got.AccessToken.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}
