package sdk_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// revoker is a provider whose Revoke does that.
type revoker struct {
	fake
	does func(sdk.RevokeRequest) error
}

func (p *revoker) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.fake.Describe(ctx)
	d.Revokes = sdk.RevokesClient
	return d, err
}

func (p *revoker) Revoke(_ context.Context, req sdk.RevokeRequest) error { return p.does(req) }

// What a provider's error says of the token comes over the wire: that nothing was revoked
// only where it says so.
func TestRevokeOverTheWire(t *testing.T) {
	var asked sdk.RevokeRequest
	p := &revoker{}
	w := newWorld(t, t.TempDir(), grant)
	w.serveAs(t, p, func() (*spool.Spool, error) { return w.spool, nil })
	d, err := w.Describe(t.Context())
	if err != nil || !d.Revoker || d.Revokes != sdk.RevokesClient {
		t.Errorf("described as %+v, %v", d, err)
	}
	for name, tt := range map[string]struct {
		says    error
		kind    sdk.Kind
		nothing bool
	}{
		"not sent":           {&sdk.Error{Kind: sdk.KindNotSent, Message: "m"}, sdk.KindNotSent, true},
		"later":              {&sdk.Error{Kind: sdk.KindRateLimited, Message: "m"}, sdk.KindRateLimited, true},
		"the client":         {sdk.ErrInvalidClient, sdk.KindInvalidClient, true},
		"the token":          {sdk.ErrInvalidGrant, sdk.KindInvalidGrant, true},
		"answered":           {&sdk.Error{Kind: sdk.KindTransient, HTTPStatus: 400, Message: "m"}, sdk.KindTransient, true},
		"transient, no more": {&sdk.Error{Kind: sdk.KindTransient, Message: "m"}, sdk.KindTransient, false},
		"ambiguous":          {sdk.ErrAmbiguous, sdk.KindAmbiguous, false},
		"no kind":            {&sdk.Error{HTTPStatus: 400, Message: "m"}, sdk.KindAmbiguous, false},
		"no error of ours":   {errors.New("m"), sdk.KindAmbiguous, false},
		"an unheard-of kind": {&sdk.Error{Kind: "odd", HTTPStatus: 400, Message: "m"}, sdk.KindAmbiguous, false},
		"unimplemented":      {sdk.ErrUnimplemented, sdk.KindTransient, true},
	} {
		p.does = func(sdk.RevokeRequest) error { return tt.says }
		if err := w.Revoke(t.Context(), sdk.RevokeRequest{}); err == nil || sdk.KindOf(err) != tt.kind || sdk.RevokedNothing(err) != tt.nothing {
			t.Errorf("%s: kind %s, nothing revoked: %t: %v", name, sdk.KindOf(err), sdk.RevokedNothing(err), err)
		}
	}
	p.does = func(sdk.RevokeRequest) error { panic("a secret") }
	if err := w.Revoke(t.Context(), sdk.RevokeRequest{}); sdk.KindOf(err) != sdk.KindAmbiguous || !strings.Contains(err.Error(), "the provider panicked: string") || strings.Contains(err.Error(), "a secret") {
		t.Errorf("a panic: %v", err)
	}
	p.does = func(req sdk.RevokeRequest) error { asked = req; return nil }
	req := sdk.RevokeRequest{Account: sdk.Account{Name: "main"}, Token: sdk.Token{AccessToken: sdk.NewSecret("at"), RefreshToken: sdk.NewSecret("rt")}}
	if err := w.Revoke(t.Context(), req); err != nil || asked.Account.Name != "main" || !asked.Token.RefreshToken.Equal(req.Token.RefreshToken) || !asked.Token.AccessToken.Equal(req.Token.AccessToken) {
		t.Errorf("asked about another token: %v", err)
	}
	if sdk.RevokedNothing(sdk.ErrConnection) || sdk.RevokedNothing(nil) {
		t.Error("a connection that is lost says something")
	}
}
