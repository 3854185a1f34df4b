// Command tokenkeeper-provider-mybroker is the shortest provider of a broker with
// refresh tokens. sdk/README.md shows it.
package main

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

func main() { sdk.Serve(&broker{}) }

type broker struct{ http oauth.Client }

func (b *broker) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name:    "mybroker",
		Version: "0.1.0",
		Policy: sdk.Policy{
			AccessLifetime: 20 * time.Minute, // where an answer does not say
			Rotates:        true,             // a refresh token works once
			BeforeExpiry:   5 * time.Minute,
			PKCE:           sdk.PKCENone, // of a login, which it has none of
		},
		Settings: []sdk.Setting{{Name: "token_url", Description: "Where tokens are refreshed."}},
	}, nil
}

func (b *broker) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	url := req.Account.Settings["token_url"]
	if url == "" {
		url = "https://login.mybroker.example/token"
	}
	return b.http.Refresh(ctx, oauth.Endpoint{TokenURL: url, AuthStyle: oauth.AuthInHeader}, req)
}
