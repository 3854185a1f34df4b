package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// revokeTimeout bounds a revocation where the endpoint says nothing shorter: a person
// waits for it.
const revokeTimeout = 20 * time.Second

// Revoke asks e.RevokeURL once to revoke the refresh token of an account, or its access
// token if it has no other (RFC 7009, section 2.1), by the way of the account and with
// the client's authentication of a refresh. What [Requests] say of headers and of the
// client goes for this request, too; it is a POST, whatever the encoding, and
// [Endpoint.EditForm] is not asked. A redirect is not followed. Without an address it is
// [sdk.ErrUnimplemented].
//
// nil: the server has answered with a success, as it does of a token that it does not
// know (section 2.2). Every other error is an [*sdk.Error], and says what [sdk.Revoker]
// wants it to say.
func (c *Client) Revoke(ctx context.Context, e Endpoint, req sdk.RevokeRequest) error {
	if e.RevokeURL == "" && e.Fault == nil {
		return sdk.ErrUnimplemented
	}
	if err := checkURL(req.Account.Name, "revoke_url", e.RevokeURL); err != nil && e.Fault == nil {
		return err
	}
	e.TokenURL, e.RefreshURL, e.EditForm = e.RevokeURL, "", nil
	if e.Requests.Encoding == EncodingQuery {
		e.Requests.Encoding = EncodingForm
	}
	if err := e.checkToken(req.Account); err != nil {
		return err
	}
	if fault := ProxyFault(req.Account.Settings[SettingProxy]); fault != "" {
		return Misconfigured(req.Account.Name, "the setting "+SettingProxy+" "+fault)
	}
	if ca := req.Account.Settings[SettingCAFile]; ca != "" && !filepath.IsAbs(ca) {
		return Misconfigured(req.Account.Name, "the setting "+SettingCAFile+" "+errRelative.Error())
	}
	a := attempt{client: c, endpoint: e, account: req.Account}
	token, hint := req.Token.RefreshToken, "refresh_token"
	if token.IsZero() {
		token, hint = req.Token.AccessToken, "access_token"
	}
	if token.IsZero() {
		return a.notSent("there is no token that could be revoked")
	}
	ctx, cancel := context.WithTimeout(ctx, min(e.timeout(), revokeTimeout))
	defer cancel()
	post, err := a.revocation(ctx, token, hint)
	if err != nil {
		return a.notSent("the request could not be built")
	}
	ans, err := (&onePost{attempt: a}).send(post)
	if err != nil {
		return err
	}
	return a.revoked(ans)
}

// revocation is the request of RFC 7009, section 2.1, before its parameters are encoded.
func (a attempt) revocation(ctx context.Context, token sdk.Secret, hint string) (*http.Request, error) {
	config := a.endpoint.config(a.account)
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}}
	if config.Endpoint.AuthStyle == AuthInParams {
		form.Set("client_id", config.ClientID)
		if config.ClientSecret != "" {
			form.Set("client_secret", config.ClientSecret)
		}
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if config.Endpoint.AuthStyle == AuthInHeader {
		post.SetBasicAuth(url.QueryEscape(config.ClientID), url.QueryEscape(config.ClientSecret)) // RFC 6749, section 2.3.1
	}
	return post, nil
}

// revoked is what an answer says (RFC 7009, section 2.2). Its body is not looked at, but
// for an error, and nothing of it is quoted but the code of that.
func (a attempt) revoked(ans answer) error {
	c := ans.content()
	f := a.endpoint.Answers.fields(c, ans.mediaType())
	if f == nil {
		_ = json.Unmarshal(topOf(c, ans.mediaType()), &f)
	}
	oauth, parsed := a.endpoint.oauthError(ans, c, f)
	code := ""
	if parsed {
		code = a.endpoint.Errors.shown(ans, oauth.Code)
	}
	fail := func(kind sdk.Kind, what string) *sdk.Error {
		return &sdk.Error{Kind: kind, HTTPStatus: ans.Status, OAuthError: code, Message: fmt.Sprintf("account %s: %s %s", a.account.Name, a.endpoint.host(), what)}
	}
	stranger := ans.stranger(c)
	wait, _ := retryAfter(ans.RetryAfter, ans.Date, ans.Received)
	switch {
	case ans.ok() && !parsed && stranger == "":
		return nil
	case ans.Status == http.StatusTooManyRequests, ans.Status == http.StatusServiceUnavailable: // section 2.2.1
		err := fail(sdk.KindRateLimited, fmt.Sprintf("asks to come back later (HTTP %d)", ans.Status))
		err.RetryAfter = wait
		return err
	case parsed && a.endpoint.kindOf(oauth) == sdk.KindInvalidClient:
		return fail(sdk.KindInvalidClient, fmt.Sprintf("refused the client (HTTP %d, %s): check client_id and client_secret", ans.Status, or(code, "in its own words")))
	case parsed && oauth.Code == "unsupported_token_type":
		return fail(sdk.KindTransient, fmt.Sprintf("does not revoke tokens of this kind (HTTP %d, %s)", ans.Status, code))
	case parsed:
		return fail(sdk.KindTransient, fmt.Sprintf("refused that (HTTP %d, %s)", ans.Status, or(code, "in its own words")))
	case ans.Status >= 400 && ans.Status <= 499 && ans.Status != http.StatusRequestTimeout:
		return fail(sdk.KindTransient, fmt.Sprintf("answered HTTP %d%s", ans.Status, stranger))
	}
	return fail(sdk.KindAmbiguous, fmt.Sprintf("answered HTTP %d, which does not say whether the token is revoked%s", ans.Status, stranger))
}
