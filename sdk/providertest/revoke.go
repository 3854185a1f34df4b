package providertest

import (
	"errors"
	"net/http"
	"reflect"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// revokeSetting is where a provider's setting stands in for the address of its broker's
// revocation, if it has such a setting.
const revokeSetting = "revoke_url"

// testRevoke: a revocation is one request and no attempt, and its error says that nothing
// was revoked only where the broker has said so. A broker is taken for one of RFC 7009.
func testRevoke(t *testing.T, s trial) {
	if !s.described.Revoker { // which everybody who asks must be told
		b := s.beside(t, hangUp)
		if err := s.fresh(t).Revoke(call(t), s.revocation(b)); !errors.Is(err, sdk.ErrUnimplemented) || len(b.posts()) > 0 {
			t.Errorf("the provider is no sdk.Revoker, and answers Revoke with: %v; want the status UNIMPLEMENTED", err)
		}
		return
	}
	t.Run("Revoked", func(t *testing.T) { testRevoked(t, s) })
	for name, answer := range map[string]http.HandlerFunc{
		"Unavailable":          respond(503, "text/plain", bodyText, "Retry-After", "7"),
		"UnsupportedTokenType": respond(400, "application/json", `{"error":"unsupported_token_type","error_description":"`+bodyText+`"}`),
		"InvalidClient":        respond(401, "application/json", `{"error":"invalid_client"}`),
	} {
		t.Run(name, func(t *testing.T) { testNotRevoked(t, s, answer) })
	}
	for name, answer := range map[string]http.HandlerFunc{
		"LostAnswer": hangUp, "Page502": respond(502, "text/html", "<html>"+bodyText+"</html>"),
	} {
		t.Run(name, func(t *testing.T) { testMaybeRevoked(t, s, answer) })
	}
	t.Run("NothingListens", func(t *testing.T) {
		req := s.revocation(s.beside(t, hangUp))
		s.revokesAt(&req.Account, "http://"+deafAddress(t))
		err := s.fresh(t).Revoke(call(t), req)
		if err == nil {
			t.Fatal("the token counts as revoked, and nobody was asked")
		}
		s.wantNoSecret(t, err)
	})
}

// revocation has the newest token whole.
func (s trial) revocation(b *broker) sdk.RevokeRequest {
	req := sdk.RevokeRequest{Account: s.account("main", b), Token: s.request("", b).Token}
	s.revokesAt(&req.Account, b.server.URL)
	return req
}

// revokesAt has a revocation go to the suite's server: by a setting of its own, or by that
// of the token endpoint.
func (s trial) revokesAt(a *sdk.Account, server string) {
	s.PointTo(a, server+"/token")
	for _, setting := range s.described.Settings {
		if setting.Name == revokeSetting {
			a.Settings[revokeSetting] = server + "/revoke"
		}
	}
}

// testRevoked: one request, with the token whose end ends the grant, and nothing of it in
// the spool.
func testRevoked(t *testing.T, s trial) {
	b := s.beside(t, respond(200, "text/plain", ""))
	p := s.fresh(t)
	before, err := p.Unsettled(call(t))
	if err != nil {
		t.Fatal(err)
	}
	req := s.revocation(b)
	if err := p.Revoke(call(t), req); err != nil {
		t.Errorf("the broker answers a success: %v", err)
	}
	token := req.Token.RefreshToken.Reveal()
	if token == "" {
		token = req.Token.AccessToken.Reveal()
	}
	if carried := b.carried(token); len(carried) != 1 || !carried[0] {
		t.Errorf("the broker saw the token in its requests: %v; want one request, with the token whose end ends the grant", carried)
	}
	if after, err := p.Unsettled(call(t)); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the spool lists %+v (%v) after a revocation, and %+v before", after.Entries, err, before.Entries)
	}
}

// testNotRevoked: the broker has said that it has revoked nothing.
func testNotRevoked(t *testing.T, s trial, answer http.HandlerFunc) {
	b := s.beside(t, answer)
	switch err := s.fresh(t).Revoke(call(t), s.revocation(b)); {
	case err == nil:
		t.Error("the token counts as revoked, and the broker has refused that")
	case !sdk.RevokedNothing(err):
		t.Errorf("the broker has refused, and nobody knows it: %v (of the kind %s); see sdk.Revoker", err, sdk.KindOf(err))
	default:
		s.wantNoSecret(t, err)
	}
	if n := len(b.posts()); n != 1 {
		t.Errorf("the broker saw %d requests, want one", n)
	}
}

// testMaybeRevoked: the request came, and nobody knows what became of it.
func testMaybeRevoked(t *testing.T, s trial, answer http.HandlerFunc) {
	b := s.beside(t, answer)
	switch err := s.fresh(t).Revoke(call(t), s.revocation(b)); {
	case err == nil:
		t.Error("the token counts as revoked, and nobody knows that")
	case sdk.RevokedNothing(err):
		t.Errorf("the token counts as living, and nobody knows that: %v (of the kind %s); see sdk.Revoker", err, sdk.KindOf(err))
	default:
		s.wantNoSecret(t, err)
	}
	if n := len(b.posts()); n != 1 {
		t.Errorf("the broker saw %d requests, want one: the answer may be lost, and a second one is a person's affair", n)
	}
}
