// Command tokenkeeper-provider-acme lets Tokenkeeper keep the logins of Acme
// Brokerage, a broker that does not exist. It is a complete provider: copy the
// folder and put your broker's facts in the place of Acme's.
//
// A provider knows what is peculiar to its broker and nothing else. When to
// refresh, what to do after a failure, where tokens are kept and who gets them
// is the supervisor's business.
package main

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

// The supervisor starts this program, talks to it over gRPC and ends it; Serve
// does the rest. Log with log/slog: it goes to the supervisor's log.
func main() { sdk.Serve(&acme{}) }

// acme keeps nothing between calls: each request carries the account and its
// token, so a restarted process needs no configuration. Calls for different
// accounts come at the same time.
type acme struct {
	// http makes each request once, spools the answer before reading it, and
	// turns failures into the kinds that the supervisor knows. Its zero value
	// is ready.
	http oauth.Client
}

// acme is an Authorizer too: it can log a person in. That is optional, and so
// are sdk.Checker and sdk.Revoker; Serve finds out by itself.
var (
	_ sdk.Provider   = (*acme)(nil)
	_ sdk.Authorizer = (*acme)(nil)
	_ sdk.SendMarker = (*acme)(nil)
)

const accessLifetime = 20 * time.Minute

// Describe tells the supervisor the broker's rules. It must not use the
// network.
func (p *acme) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name:    "acme", // the file is called tokenkeeper-provider-acme
		Version: "0.1.0",
		Policy: sdk.Policy{
			AccessLifetime:  accessLifetime,   // where an answer has no expires_in
			RefreshLifetime: 24 * time.Hour,   // of the refresh token; 0 if nobody knows
			Sliding:         true,             // each refresh starts those 24 hours anew
			Rotates:         true,             // a refresh token works once; the answer holds the next one
			ReuseGrace:      0,                // and is dead at once: Acme forgives no second use
			PKCE:            sdk.PKCERequired, // the login carries a code challenge (RFC 7636)
			BeforeExpiry:    5 * time.Minute,  // refresh that early, unless the configuration says otherwise
		},
		// What an account may set under "settings". Any other key, and any
		// value outside of OneOf, is refused before anything starts. A refresh token
		// is not sent to another Server than the one that has granted it.
		Settings: []sdk.Setting{
			{Name: "region", Description: "Where the client_id is registered.", Default: "eu", OneOf: []string{"eu", "us"}, Server: true},
			{Name: "authorize_url", Description: "Where a person logs in, instead of the region's own address."},
			{
				Name: "token_url", Description: "Where tokens are refreshed, instead of the region's own address.",
				Default: "https://login.{region}.acme.example/oauth2/token", Server: true,
			},
		},
	}, nil
}

// Refresh spends the refresh token. Do not try again after a failure: a second
// request with the same token can cost the login. The supervisor decides.
func (p *acme) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.http.Refresh(ctx, endpoint(req.Account), req)
}

// MarksSends promises that package oauth sends every request of Refresh and
// Exchange. It notes in the spool that it is about to, so that nobody is
// alarmed when this process dies before.
func (p *acme) MarksSends() {}

// AuthCodeURL is the address at which the person logs in.
func (p *acme) AuthCodeURL(_ context.Context, req sdk.AuthRequest) (string, error) {
	return endpoint(req.Account).AuthCodeURL(req)
}

// Exchange turns the code that the login brought into the first token.
func (p *acme) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	return p.http.Exchange(ctx, endpoint(req.Account), req)
}

// endpoint is how Acme's authorization server wants to be spoken to.
func endpoint(a sdk.Account) oauth.Endpoint {
	server := "https://login." + setting(a, "region", "eu") + ".acme.example/oauth2/"
	e := oauth.Endpoint{
		AuthorizeURL:    setting(a, "authorize_url", server+"authorize"),
		TokenURL:        setting(a, "token_url", server+"token"),
		AuthStyle:       oauth.AuthInParams, // or AuthInHeader: the broker's manual says which
		PKCE:            true,
		DefaultLifetime: accessLifetime,
		Extra:           []string{"base_uri"}, // goes to the sinks with the token: bots need Acme's API address
		Classify:        classify,
	}
	if a.ClientSecret.IsZero() {
		e.Fault = oauth.Misconfigured(a.Name, "client_secret is missing") // says so and sends nothing
	}
	return e
}

// classify knows the one word that is Acme's own. What RFC 6749 says of errors
// holds without it. Be careful here: invalid_grant ends all tries and calls for
// a person, so answer it only where the broker surely means a dead token.
func classify(e oauth.OAuthError) sdk.Kind {
	if e.Code == "token_revoked" {
		return sdk.KindInvalidGrant
	}
	return ""
}

func setting(a sdk.Account, name, otherwise string) string {
	if v := a.Settings[name]; v != "" {
		return v
	}
	return otherwise
}
