// Command tokenkeeper-provider-daily is the shortest provider of a broker at which a
// person logs in each day, and nothing else brings a token. sdk/README.md shows it.
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
		Name:    "daily",
		Version: "0.1.0",
		Policy: sdk.Policy{
			AccessLifetime: 24 * time.Hour, // at most: each token dies at six in the morning
			Access:         sdk.Deadline{Clock: sdk.TimeOfDay{Hour: 6, Zone: "Asia/Kolkata"}, Certain: true},
			PKCE:           sdk.PKCENone,
		},
		Settings: []sdk.Setting{
			{Name: "authorize_url", Description: "Where a person logs in.", Required: true},
			{Name: "token_url", Description: "Where a code becomes a token.", Required: true},
		},
	}, nil
}

func endpoint(a sdk.Account) oauth.Endpoint {
	return oauth.Endpoint{
		AuthorizeURL: a.Settings["authorize_url"], TokenURL: a.Settings["token_url"],
		AuthStyle: oauth.AuthInParams, DefaultLifetime: 24 * time.Hour,
	}
}

func (b *broker) AuthCodeURL(_ context.Context, req sdk.AuthRequest) (string, error) {
	return endpoint(req.Account).AuthCodeURL(req)
}

func (b *broker) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	return b.http.Exchange(ctx, endpoint(req.Account), req)
}
