package providertest

import (
	"net/url"
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// testWording: each request is worded as the broker wants it, and an assertion is
// made for one request. The suite's server looks at every one.
func testWording(t *testing.T, s trial) {
	b := s.newBroker(t, s.grant(s.access(newAccess), newRefresh))
	p := s.fresh(t)
	for _, attempt := range []string{"one", "two"} {
		if _, err := s.next(call(t), p.Remote, s.request(attempt, b)); err != nil {
			t.Fatalf("%s: %v", s.name(), err)
		}
		if err := p.Settle(call(t), attempt); err != nil {
			t.Fatal(err)
		}
	}
	b.wantPosts(t, 2)
	if !s.described.Authorizer || len(s.words.Resource) == 0 {
		return
	}
	raw, err := p.AuthCodeURL(call(t), sdk.AuthRequest{Account: s.account("main", b), State: "state-1", CodeVerifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(raw); err != nil || !slices.Equal(u.Query()["resource"], s.words.Resource) {
		t.Errorf("the login does not name the resource (RFC 8707): %v", err)
	}
}

// testErrorInsideSuccess: an error is looked for before the token, so that no
// access token beside it is believed; but a new refresh token beside it is kept.
func testErrorInsideSuccess(t *testing.T, s trial) {
	if s.words.Failure == nil {
		t.Skip("the broker puts no errors into a success (Broker.Failure is nil)")
	}
	for _, tt := range []struct{ name, access, refresh string }{
		{"Alone", "", ""},
		{"BesideAnAccessToken", s.access(newAccess), ""},
		{"BesideTheOldRefreshToken", "", oldRefresh},
		{"BesideANewRefreshToken", "", newRefresh},
		{"BesideBoth", s.access(newAccess), newRefresh},
	} {
		if tt.refresh != s.given(tt.refresh) {
			continue // there are none
		}
		t.Run(tt.name, func(t *testing.T) {
			status, body := s.words.Failure(tt.access, tt.refresh)
			b := s.newBroker(t, respond(status, "application/json", body))
			token, err := s.next(call(t), s.fresh(t).Remote, s.request("one", b))
			kind := sdk.KindOf(err)
			switch {
			case err != nil:
				s.wantNoSecret(t, err)
				if tt.refresh == newRefresh && kind != sdk.KindAmbiguous {
					t.Errorf("a new refresh token is thrown away with the kind %s: %v", kind, err)
				}
				if tt.refresh != newRefresh && kind == sdk.KindAmbiguous {
					t.Errorf("the answer is taken for one that nobody can read: %v", err)
				}
			case tt.refresh != newRefresh:
				t.Error("an error is taken for a token")
			case !token.AccessToken.IsZero():
				t.Error("the access token beside an error is believed")
			case token.RefreshToken.Reveal() != newRefresh:
				t.Error("the new refresh token is thrown away")
			}
			b.wantPosts(t, 1)
		})
	}
}
