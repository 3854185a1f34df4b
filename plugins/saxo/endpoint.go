package saxo

import (
	"fmt"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

// Names of the settings, and the values of environment. The default is the one
// in which a mistake costs nothing.
const (
	settingEnvironment  = "environment"
	settingAuthorizeURL = "authorize_url"
	settingTokenURL     = "token_url"
	settingCheckURL     = "check_url"

	sim  = "sim"
	live = "live"
)

// privateVerifier is the key in Token.Private under which an account without a
// client secret keeps its code verifier from login to login.
const privateVerifier = "code_verifier"

// endpoint is what the account's settings say. A missing client secret makes
// it a PKCE account: Saxo registers an app for one or the other.
func endpoint(a sdk.Account) oauth.Endpoint {
	environment := setting(a, settingEnvironment, sim)
	base := "https://" + environment + ".logonvalidation.net/"
	e := oauth.Endpoint{
		AuthorizeURL:    setting(a, settingAuthorizeURL, base+"authorize"),
		TokenURL:        setting(a, settingTokenURL, base+"token"),
		AuthStyle:       oauth2.AuthStyleInParams,
		PKCE:            usesPKCE(a),
		DefaultLifetime: accessLifetime,
		Extra:           []string{"base_uri"},
	}
	if environment != sim && environment != live {
		e.Fault = oauth.Misconfigured(a.Name, fmt.Sprintf("the setting environment is %q; it must be %q or %q", environment, sim, live))
	}
	return e
}

// refreshEndpoint adds what a PKCE refresh needs: Saxo wants redirect_uri and
// code_verifier, and no client id.
func refreshEndpoint(req sdk.RefreshRequest) oauth.Endpoint {
	e := endpoint(req.Account)
	if !e.PKCE {
		return e
	}
	verifier := req.Token.Private[privateVerifier]
	e.Private = map[string]sdk.Secret{privateVerifier: verifier}
	e.EditForm = func(form url.Values) {
		form.Del("client_id")
		form.Set("redirect_uri", req.Account.RedirectURL)
		form.Set(privateVerifier, verifier.Reveal())
	}
	switch {
	case e.Fault != nil:
	case req.Account.RedirectURL == "":
		e.Fault = oauth.Misconfigured(req.Account.Name, "redirect_url is missing, which a refresh without a client secret needs")
	case verifier.IsZero():
		e.Fault = &sdk.Error{Kind: sdk.KindNotSent, Message: fmt.Sprintf(
			"account %s: its token came without a code verifier, which a refresh without a client secret needs; "+
				"log in again, or set client_secret if the app has one", req.Account.Name)}
	}
	return e
}

// exchangeEndpoint keeps the code verifier for the refreshes to come.
func exchangeEndpoint(req sdk.ExchangeRequest) oauth.Endpoint {
	e := endpoint(req.Account)
	if e.PKCE {
		e.Private = map[string]sdk.Secret{privateVerifier: req.CodeVerifier}
	}
	return e
}

// checkURL is what answers with the user whose token it is; the error is that of an
// account whose settings don't tell.
func checkURL(a sdk.Account) (string, error) {
	if own := a.Settings[settingCheckURL]; own != "" {
		return own, nil
	}
	if a.Settings[settingTokenURL] != "" {
		return "", oauth.Misconfigured(a.Name, "the setting check_url is missing: with a token_url of your own, nobody knows whose API the token is for")
	}
	base := "https://gateway.saxobank.com/"
	if setting(a, settingEnvironment, sim) == sim {
		base += "sim/"
	}
	return base + "openapi/root/v1/user", endpoint(a).Fault
}

func usesPKCE(a sdk.Account) bool { return a.ClientSecret.IsZero() }

func setting(a sdk.Account, name, otherwise string) string {
	if v := a.Settings[name]; v != "" {
		return v
	}
	return otherwise
}
