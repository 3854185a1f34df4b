// Package schwab is the provider for the Schwab Trader API: the authorization
// code grant with a client secret, access tokens of 30 minutes, and a refresh
// token that dies seven days after the login whatever happens to it.
//
// Schwab's own description stands behind a login at
// https://developer.schwab.com ("Authenticate with OAuth"); what it leaves out
// is known from client programs, which are named where that is so.
package schwab

import (
	"context"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

const (
	authorizeURL = "https://api.schwabapi.com/v1/oauth/authorize"
	tokenURL     = "https://api.schwabapi.com/v1/oauth/token"
	// checkURL answers with the numbers of the accounts that the login gives access to.
	checkURL = "https://api.schwabapi.com/trader/v1/accounts/accountNumbers"

	accessLifetime  = 1800 * time.Second
	refreshLifetime = 7 * 24 * time.Hour
)

// Names of the settings.
const (
	settingAuthorizeURL = "authorize_url"
	settingTokenURL     = "token_url"
	settingCheckURL     = "check_url"
)

// Provider is the Schwab provider.
type Provider struct {
	// HTTP makes the requests. Its zero value uses the network.
	HTTP oauth.Client
}

var (
	_ sdk.Provider   = (*Provider)(nil)
	_ sdk.Authorizer = (*Provider)(nil)
	_ sdk.Checker    = (*Provider)(nil)
	_ sdk.SendMarker = (*Provider)(nil)
)

// New returns the provider for [sdk.Serve].
func New() *Provider { return &Provider{} }

// Describe implements [sdk.Provider].
func (p *Provider) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name:    "schwab",
		Version: "1.0.0",
		Policy: sdk.Policy{
			AccessLifetime:  accessLifetime,
			RefreshLifetime: refreshLifetime,
			// The seven days run from the login, and the refresh token is
			// usually returned as it was.
			// Whether an access token outlives the refresh that replaces it is said
			// neither by Schwab's guide nor by the client programs of others (schwab-py,
			// Schwabdev): so neither OldAccessDies nor OldAccessLives.
			Sliding:      false,
			Rotates:      false,
			PKCE:         sdk.PKCENone,
			BeforeExpiry: 5 * time.Minute,
		},
		Settings: append([]sdk.Setting{
			{Name: settingAuthorizeURL, Description: "Where a person logs in.", Default: authorizeURL},
			{Name: settingTokenURL, Description: "Where tokens are refreshed.", Default: tokenURL, Server: true},
			{Name: settingCheckURL, Description: "What \"tokenkeeper test\" asks for with an access token.", Default: checkURL},
		}, oauth.ConnectionSettings()...),
	}, nil
}

// Refresh implements [sdk.Provider].
func (p *Provider) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.HTTP.Refresh(ctx, endpoint(req.Account), req)
}

// TokenURL is where the account's tokens are refreshed.
func (p *Provider) TokenURL(a sdk.Account) string { return endpoint(a).TokenURL }

// MarksSends implements [sdk.SendMarker]: package oauth sends every request.
func (p *Provider) MarksSends() {}

// AuthCodeURL implements [sdk.Authorizer].
func (p *Provider) AuthCodeURL(_ context.Context, req sdk.AuthRequest) (string, error) {
	return endpoint(req.Account).AuthCodeURL(req)
}

// Exchange implements [sdk.Authorizer].
func (p *Provider) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	return p.HTTP.Exchange(ctx, endpoint(req.Account), req)
}

// Check implements [sdk.Checker].
func (p *Provider) Check(ctx context.Context, req sdk.CheckRequest) error {
	if req.Account.Settings[settingTokenURL] != "" && req.Account.Settings[settingCheckURL] == "" {
		return oauth.Misconfigured(req.Account.Name, "the setting check_url is missing: with a token_url of your own, nobody knows whose API the token is for")
	}
	return p.HTTP.Check(ctx, setting(req.Account, settingCheckURL, checkURL), req)
}

// NeedsClientSecret says that an account can't do without: the broker has no other client.
func (*Provider) NeedsClientSecret() bool { return true }

func endpoint(a sdk.Account) oauth.Endpoint {
	e := oauth.Endpoint{
		AuthorizeURL:    setting(a, settingAuthorizeURL, authorizeURL),
		TokenURL:        setting(a, settingTokenURL, tokenURL),
		AuthStyle:       oauth2.AuthStyleInHeader,
		DefaultLifetime: accessLifetime,
		Classify:        classify,
		Inner:           wrapped,
	}
	if a.ClientSecret.IsZero() {
		e.Fault = oauth.Misconfigured(a.Name, "client_secret is missing")
	}
	return e
}

func setting(a sdk.Account, name, otherwise string) string {
	if v := a.Settings[name]; v != "" {
		return v
	}
	return otherwise
}
