package oauth

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Mint gets a token for the client itself (RFC 6749, section 4.4) in one request to
// e, under the rules of [Client.Refresh]. With [Requests.Assertion] its key is all
// that it needs.
func (c *Client) Mint(ctx context.Context, e Endpoint, req sdk.MintRequest) (sdk.Token, error) {
	a := attempt{client: c, endpoint: e, account: req.Account}
	return a.run(ctx, func(ctx context.Context, config *oauth2.Config) error {
		mint := clientcredentials.Config{
			ClientID: config.ClientID, ClientSecret: config.ClientSecret, Scopes: config.Scopes,
			TokenURL: config.Endpoint.TokenURL, AuthStyle: config.Endpoint.AuthStyle,
		}
		_, err := mint.Token(ctx)
		return err
	})
}

// Renew sends a living access token in one request to e.RefreshURL, or to
// e.TokenURL without one, as a bearer token (RFC 6750, section 2.1) unless
// [Requests.Header] has an Authorization, under the rules of [Client.Refresh]. The
// request has no parameters but those of [Endpoint.EditForm] and [Requests].
func (c *Client) Renew(ctx context.Context, e Endpoint, req sdk.RenewRequest) (sdk.Token, error) {
	a := attempt{client: c, endpoint: e.refreshing(), account: req.Account, renews: req.Token.AccessToken.Fingerprint()}
	return a.run(ctx, func(ctx context.Context, config *oauth2.Config) error {
		renewal, err := http.NewRequestWithContext(ctx, http.MethodPost, config.Endpoint.TokenURL, http.NoBody)
		if err != nil {
			return err
		}
		renewal.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		renewal.Header.Set("Authorization", "Bearer "+req.Token.AccessToken.Reveal())
		resp, err := ctx.Value(oauth2.HTTPClient).(*http.Client).Do(renewal)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}, requirement{!req.Token.AccessToken.IsZero(), "holds no access token that could renew itself; someone must log in"})
}
