// Package saxo is the provider for Saxo Bank's OpenAPI: the authorization code
// grant with a client secret, or with PKCE and no secret; access tokens of
// about 20 minutes and single-use refresh tokens that live an hour at most, so
// that refreshing goes on through nights and weekends.
//
// Sources:
//   - https://www.developer.saxo/openapi/learn/oauth-authorization-code-grant
//   - https://www.developer.saxo/openapi/learn/oauth-authorization-code-grant-pkce
package saxo

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

const (
	accessLifetime = 1200 * time.Second
	// Saxo names the refresh token's life in refresh_token_expires_in; these
	// stand in if it does not.
	simRefreshLifetime  = 2400 * time.Second
	liveRefreshLifetime = 3600 * time.Second
)

// Provider is the Saxo provider.
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
		Name:    "saxo",
		Version: "1.0.0",
		Policy: sdk.Policy{
			AccessLifetime: accessLifetime,
			// The shorter of the two environments; each token says its own.
			RefreshLifetime: simRefreshLifetime,
			Sliding:         true,
			Rotates:         true,
			// Whether Saxo looks at the client before it spends the token is UNVERIFIED,
			// so ClientFirst is not set.
			// Required of an account without a client secret.
			PKCE:         sdk.PKCEOptional,
			BeforeExpiry: 5 * time.Minute,
		},
		Settings: append([]sdk.Setting{
			{
				Name:        settingEnvironment,
				Description: "Which of Saxo's environments the client_id belongs to: sim (simulation) or live (real money).",
				Default:     sim, OneOf: []string{sim, live},
			},
			{Name: settingAuthorizeURL, Description: "Where a person logs in, instead of the environment's own address."},
			{
				Name: settingTokenURL, Description: "Where tokens are refreshed, instead of the environment's own address.",
				Default: "https://{environment}.logonvalidation.net/token", Server: true,
			},
			{Name: settingCheckURL, Description: "What \"tokenkeeper test\" asks for with an access token, instead of the environment's own address."},
		}, oauth.ConnectionSettings()...),
	}, nil
}

// Refresh implements [sdk.Provider].
func (p *Provider) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return withRefreshLifetime(req.Account)(p.HTTP.Refresh(ctx, refreshEndpoint(req), req))
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
	return withRefreshLifetime(req.Account)(p.HTTP.Exchange(ctx, exchangeEndpoint(req), req))
}

// Check implements [sdk.Checker].
func (p *Provider) Check(ctx context.Context, req sdk.CheckRequest) error {
	address, err := checkURL(req.Account)
	if err != nil {
		return err
	}
	return p.HTTP.Check(ctx, address, req)
}

// withRefreshLifetime fills in how long a new refresh token lives if the answer
// did not say.
func withRefreshLifetime(a sdk.Account) func(sdk.Token, error) (sdk.Token, error) {
	return func(t sdk.Token, err error) (sdk.Token, error) {
		if err == nil && t.RefreshLifetime == 0 && !t.RefreshToken.IsZero() {
			t.RefreshLifetime = simRefreshLifetime
			if a.Settings[settingEnvironment] == live {
				t.RefreshLifetime = liveRefreshLifetime
			}
		}
		return t, err
	}
}
