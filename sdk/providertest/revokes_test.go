package providertest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// revoking is a provider whose broker revokes tokens. Its fields are mistakes.
type revoking struct {
	plain
	http oauth.Client
	// access: it revokes the access token; calls: so many more times; amiss: what becomes
	// of an error.
	access bool
	calls  int
	amiss  func(error) error
	ends   sdk.RevokeScope
}

func (p *revoking) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.plain.Describe(ctx)
	d.Settings = []sdk.Setting{{Name: "revoke_url", Description: "Where tokens are revoked."}}
	d.Revokes = p.ends
	return d, err
}

func (p *revoking) Revoke(ctx context.Context, req sdk.RevokeRequest) (err error) {
	if p.access {
		req.Token.RefreshToken = sdk.Secret{}
	}
	for range 1 + p.calls {
		err = p.http.Revoke(ctx, oauth.Endpoint{RevokeURL: req.Account.Settings["revoke_url"], AuthStyle: oauth.AuthInHeader}, req)
	}
	if err != nil && p.amiss != nil {
		return p.amiss(err)
	}
	return err
}

func TestRevoker(t *testing.T) {
	t.Parallel()
	providertest.Run(t, suite(&revoking{ends: sdk.RevokesClient}))
}

// Each rule of revocations finds the provider that breaks it.
func TestBrokenRevokersAreFound(t *testing.T) {
	amiss := func(foundBy string, how func(error) error) brokenSuite {
		return brokenSuite{suite(&revoking{amiss: how}), foundBy}
	}
	eachIsFound(t, map[string]brokenSuite{
		"revokes the access token": {suite(&revoking{access: true}), "Revoke/Revoked"},
		"ends something else":      {suite(&revoking{ends: "everything"}), "Describe"},
		"tries twice":              {suite(&revoking{calls: 1}), "Revoke/LostAnswer"},
		"takes all for revoked":    amiss("Revoke/Page502", func(error) error { return nil }),
		"takes none for revoked": amiss("Revoke/LostAnswer", func(err error) error {
			return &sdk.Error{Kind: sdk.KindNotSent, Message: err.Error()}
		}),
		"says no kind": amiss("Revoke/UnsupportedTokenType", func(err error) error { return errors.New(err.Error()) }),
	}, false)
}
