// Command provider-revokes is Schwab's provider, for a broker that revokes tokens.
package main

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

type provider struct {
	*schwab.Provider
	http oauth.Client
}

func (p *provider) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.Provider.Describe(ctx)
	d.Name = "revokes"
	d.Settings = append(d.Settings, sdk.Setting{Name: "revoke_url", Description: "Where tokens are revoked."})
	return d, err
}

func (p *provider) Revoke(ctx context.Context, req sdk.RevokeRequest) error {
	return p.http.Revoke(ctx, oauth.Endpoint{RevokeURL: req.Account.Settings["revoke_url"], AuthStyle: oauth.AuthInHeader}, req)
}

func main() { sdk.Serve(&provider{Provider: schwab.New()}) }
