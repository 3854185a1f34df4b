// Command tokenkeeper-provider-device is the shortest provider of a broker at which a
// person logs in by a code on another device. sdk/README.md shows it.
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
		Name:    "device",
		Version: "0.1.0",
		Logins:  []sdk.LoginShape{sdk.LoginDevice},
		Policy: sdk.Policy{
			AccessLifetime: time.Hour,
			Rotates:        true,
			BeforeExpiry:   10 * time.Minute,
			PKCE:           sdk.PKCENone,
		},
		Settings: []sdk.Setting{
			{Name: "device_url", Description: "Where a login begins.", Required: true},
			{Name: "token_url", Description: "Where it ends, and where tokens are refreshed.", Required: true},
		},
	}, nil
}

func endpoint(a sdk.Account) oauth.Endpoint {
	return oauth.Endpoint{DeviceURL: a.Settings["device_url"], TokenURL: a.Settings["token_url"], AuthStyle: oauth.AuthInParams}
}

func (b *broker) BeginLogin(ctx context.Context, req sdk.BeginLoginRequest) (sdk.Login, error) {
	return b.http.BeginDevice(ctx, endpoint(req.Account), req)
}

func (b *broker) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	return b.http.EndDevice(ctx, endpoint(req.Account), req)
}

func (b *broker) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return b.http.Refresh(ctx, endpoint(req.Account), req)
}
