// Command tokenkeeper-provider-renews is the shortest provider of a broker whose access
// token renews itself while it lives. sdk/README.md shows it.
package main

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

func main() { sdk.Serve(&broker{}) }

type broker struct {
	sdk.NoRefresh
	http oauth.Client
}

func (b *broker) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name:    "renews",
		Version: "0.1.0",
		Policy: sdk.Policy{
			AccessLifetime: 90 * time.Minute,
			OldAccessDies:  true,
			BeforeExpiry:   15 * time.Minute,
			PKCE:           sdk.PKCENone,
		},
		Settings: []sdk.Setting{{Name: "token_url", Description: "Where tokens are renewed.", Required: true}},
	}, nil
}

func (b *broker) Renew(ctx context.Context, req sdk.RenewRequest) (sdk.Token, error) {
	return b.http.Renew(ctx, oauth.Endpoint{TokenURL: req.Account.Settings["token_url"], AuthStyle: oauth.AuthNone}, req)
}
