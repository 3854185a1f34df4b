package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

const (
	// deviceCode is where the device code stands in [sdk.Login.Private].
	deviceCode = "device_code"
	// deviceGrant: RFC 8628, section 3.4.
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	// pollEvery stands in where the server names no interval, and slower is by how
	// much slow_down lengthens it: RFC 8628, sections 3.2 and 3.5.
	pollEvery, slower = 5 * time.Second, 5 * time.Second
)

// deviceKinds are the errors of RFC 8628, section 3.5. After the last two nobody can
// end that login any more.
var deviceKinds = map[string]sdk.Kind{
	"authorization_pending": sdk.KindPending, "slow_down": sdk.KindPending,
	"access_denied": sdk.KindInvalidGrant, "expired_token": sdk.KindInvalidGrant,
}

// BeginDevice asks e.DeviceURL for a device code (RFC 8628, section 3.1): the
// BeginLogin of [sdk.LoginDevice]. It is no attempt, and nothing of it is spooled. What
// [Requests], [Answers] and [Errors] say goes for this request, too. Another shape is
// [sdk.ErrUnimplemented].
func (c *Client) BeginDevice(ctx context.Context, e Endpoint, req sdk.BeginLoginRequest) (sdk.Login, error) {
	if req.Shape != sdk.LoginDevice {
		return sdk.Login{}, sdk.ErrUnimplemented
	}
	if err := checkURL(req.Account.Name, "device_url", e.DeviceURL); err != nil && e.Fault == nil {
		return sdk.Login{}, err
	}
	e.TokenURL = e.DeviceURL
	if err := e.checkToken(req.Account); err != nil {
		return sdk.Login{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout())
	defer cancel()
	a := attempt{client: c, endpoint: e, account: req.Account}
	config := e.config(req.Account) // a client with a secret authenticates here, too
	form := url.Values{"client_id": {config.ClientID}}
	if config.ClientSecret != "" && config.Endpoint.AuthStyle == AuthInParams {
		form.Set("client_secret", config.ClientSecret)
	}
	if len(req.Account.Scopes) > 0 {
		form.Set("scope", strings.Join(req.Account.Scopes, " "))
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, e.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return sdk.Login{}, a.notSent("the request could not be built")
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if config.ClientSecret != "" && config.Endpoint.AuthStyle == AuthInHeader {
		post.SetBasicAuth(url.QueryEscape(config.ClientID), url.QueryEscape(config.ClientSecret)) // RFC 6749, section 2.3.1
	}
	ans, err := (&onePost{attempt: a}).send(post)
	if err != nil {
		return sdk.Login{}, harmless(err)
	}
	return e.readDevice(req.Account.Name, ans)
}

// readDevice is RFC 8628, section 3.2.
func (e Endpoint) readDevice(account string, a answer) (sdk.Login, error) {
	c := a.content()
	f := e.Answers.fields(c, a.mediaType())
	if f == nil {
		_ = json.Unmarshal(topOf(c, a.mediaType()), &f)
	}
	refusal, failed := e.refusal(account, a, c, f)
	code, address := f.text(deviceCode), f.text("verification_uri")
	if address == "" {
		address = f.text("verification_url") // Google's name, of the draft
	}
	switch {
	case failed, !a.ok():
		return sdk.Login{}, harmless(refusal)
	case code == "" || address == "" || f.text("user_code") == "":
		return sdk.Login{}, &sdk.Error{Kind: sdk.KindTransient, HTTPStatus: a.Status, Message: fmt.Sprintf(
			"account %s: %s answered HTTP %d, but without device_code, user_code and verification_uri", account, e.host(), a.Status)}
	case checkURL(account, "verification_uri", address) != nil:
		return sdk.Login{}, &sdk.Error{Kind: sdk.KindTransient, HTTPStatus: a.Status, Message: fmt.Sprintf(
			"account %s: %s names an address to log in at that does not begin with https://", account, e.host())}
	}
	login := sdk.Login{
		Shape: sdk.LoginDevice, Address: address, UserCode: f.text("user_code"), PollEvery: pollEvery,
		Instructions: "Open the address and type the code, or compare it with the one that is shown there.",
		Private:      map[string]sdk.Secret{deviceCode: sdk.NewSecret(code)},
	}
	if complete := f.text("verification_uri_complete"); checkURL(account, "verification_uri_complete", complete) == nil {
		login.Address = complete
	}
	if life := refreshLifetime(e.Answers.scaled(f["expires_in"])); life > 0 {
		login.Expires = a.Received.Add(life)
	}
	if every := refreshLifetime(f["interval"]); every > 0 {
		login.PollEvery = every
	}
	return login, nil
}

// EndDevice asks once for the token of a login that [Client.BeginDevice] has begun,
// under the rules of [Client.Refresh]: the EndLogin of [sdk.LoginDevice]. While the
// person is not done its error is of the kind pending. Where the server asks to be
// polled less often, RetryAfter says how long to wait from now on.
func (c *Client) EndDevice(ctx context.Context, e Endpoint, req sdk.EndLoginRequest) (sdk.Token, error) {
	theirs := e.Classify
	e.Classify = func(o OAuthError) (kind sdk.Kind) {
		if theirs != nil {
			kind = theirs(o)
		}
		if kind == "" {
			kind = e.Errors.Kinds[o.Code]
		}
		if kind == "" {
			kind = deviceKinds[o.Code]
		}
		return kind
	}
	code := req.Login.Private[deviceCode]
	a := attempt{client: c, endpoint: e, account: req.Account, exchange: true}
	t, err := a.run(ctx, func(ctx context.Context, config *oauth2.Config) error {
		poll := clientcredentials.Config{
			ClientID: config.ClientID, ClientSecret: config.ClientSecret,
			TokenURL: config.Endpoint.TokenURL, AuthStyle: config.Endpoint.AuthStyle,
			EndpointParams: url.Values{"grant_type": {deviceGrant}, deviceCode: {code.Reveal()}},
		}
		_, err := poll.Token(ctx)
		return err
	}, requirement{!code.IsZero(), "has no device code; begin the login again"})
	if pending := (*sdk.Error)(nil); errors.As(err, &pending) && pending.Kind == sdk.KindPending && pending.OAuthError == "slow_down" {
		pending.RetryAfter = max(req.Login.PollEvery, pollEvery) + slower
	}
	return t, err
}

// harmless is an error of a request with which nothing can be lost.
func harmless(err error) error {
	e := (*sdk.Error)(nil)
	if errors.As(err, &e) && e.Kind == sdk.KindAmbiguous {
		return &sdk.Error{Kind: sdk.KindTransient, Message: e.Message, HTTPStatus: e.HTTPStatus, OAuthError: e.OAuthError}
	}
	return err
}
