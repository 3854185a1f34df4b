// Command tokenkeeper-provider-mints is the shortest provider of a broker that gives a
// token for a key, as often as one likes. sdk/README.md shows it.
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
		Name:    "mints",
		Version: "0.1.0",
		Repeat:  sdk.RepeatHarmless, // the tokens before live on
		Policy: sdk.Policy{
			AccessLifetime: 15 * time.Minute,
			BeforeExpiry:   3 * time.Minute,
			PKCE:           sdk.PKCENone,
		},
		Settings: []sdk.Setting{{Name: "token_url", Description: "Where tokens are minted.", Required: true}},
	}, nil
}

func (b *broker) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	return b.http.Mint(ctx, oauth.Endpoint{TokenURL: req.Account.Settings["token_url"], AuthStyle: oauth.AuthInHeader}, req)
}
