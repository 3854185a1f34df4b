// Command provider-guided is the shortest provider of a broker at which a person logs
// in by a code on another device, pastes a refresh token, or is posted one.
package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

type provider struct{ http oauth.Client }

func (*provider) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "guided", Version: "0.1.0", Logins: []sdk.LoginShape{sdk.LoginDevice, sdk.LoginPasteToken, sdk.LoginCallback},
		Policy:   sdk.Policy{AccessLifetime: time.Hour, Rotates: true},
		Settings: []sdk.Setting{{Name: "broker", Required: true}},
	}, nil
}

func endpoint(a sdk.Account) oauth.Endpoint {
	broker := a.Settings["broker"]
	return oauth.Endpoint{DeviceURL: broker + "/device", TokenURL: broker + "/token", AuthStyle: oauth.AuthInParams}
}

func (p *provider) BeginLogin(ctx context.Context, req sdk.BeginLoginRequest) (sdk.Login, error) {
	if req.Shape == sdk.LoginDevice {
		return p.http.BeginDevice(ctx, endpoint(req.Account), req)
	}
	return sdk.Login{
		Shape: req.Shape, Address: req.Account.Settings["broker"] + "/apps",
		Instructions: "Create a token for this application, and copy it.",
	}, nil
}

func (p *provider) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	if req.Login.Shape == sdk.LoginDevice {
		return p.http.EndDevice(ctx, endpoint(req.Account), req)
	}
	pasted := sdk.Token{RefreshToken: req.Given}
	if req.Login.Shape == sdk.LoginCallback {
		var post struct {
			Client string `json:"client_id"`
			Token  string `json:"refresh_token"`
		}
		if json.Unmarshal([]byte(req.Given.Reveal()), &post) != nil || post.Client != req.Account.ClientID || post.Token == "" {
			return sdk.Token{}, &sdk.Error{Kind: sdk.KindNotSent, Message: "this is no post for the application " + req.Account.ClientID}
		}
		pasted.RefreshToken = sdk.NewSecret(post.Token)
	}
	return p.http.Refresh(ctx, endpoint(req.Account), sdk.RefreshRequest{Attempt: req.Attempt, Account: req.Account, Token: pasted})
}

func (p *provider) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.http.Refresh(ctx, endpoint(req.Account), req)
}

func main() { sdk.Serve(&provider{}) }
