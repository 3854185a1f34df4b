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

// The same of the answer to a code: no refresh token was sent that it could be an echo
// of. Where nobody noted that a code was sent, it may be one.
func TestRefreshTokenBesideARefusedLoginIsKept(t *testing.T) {
	const long = "new-refresh-token-0123456789abcdef"
	for name, e := range map[string]Endpoint{"the RFC's words": {}, "the server's words": {Errors: Errors{Code: "error"}}} {
		for _, exchange := range []bool{true, false} {
			a := answer{
				meta: meta{Status: 200, ContentType: "application/json", Received: time.Now(), Exchange: exchange},
				body: []byte(`{"error":"invalid_grant","refresh_token":"` + long + `"}`),
			}
			got, err := e.read("a", a)
			if exchange && (err != nil || got.RefreshToken.Reveal() != long || !got.AccessToken.IsZero() || got.Rescued != sdk.RescuedBesideError) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if !exchange && e.Errors.Code == "" && sdk.KindOf(err) != sdk.KindInvalidGrant {
				t.Errorf("%s, nobody knows what was sent: %+v, %v", name, got, err)
			}
		}
		refused := answer{meta: meta{Status: 400, ContentType: "application/json", Received: time.Now(), Exchange: true}, body: []byte(`{"error":"invalid_grant"}`)}
		if _, err := e.read("a", refused); err == nil {
			t.Errorf("%s: a refusal became a token", name)
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
