package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AccountCalls are those about the token of an account.
type AccountCalls struct{ line *line }

// Accounts lists every account that is configured or stored.
func (c AccountCalls) Accounts(ctx context.Context) (AccountList, error) {
	return call[AccountList](ctx, c.line, lookTimeout, http.MethodGet, "/v1/accounts", nil, nil)
}

// RenameAccount has the account to go on with what is stored of from.
func (c AccountCalls) RenameAccount(ctx context.Context, from, to string) (RenameAnswer, error) {
	return call[RenameAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(from)+"/rename", url.Values{"to": {to}}, nil)
}

// ForgetAccount removes what is stored of an account; with revoke only once its broker has
// ended its login.
func (c AccountCalls) ForgetAccount(ctx context.Context, account string, revoke bool) (ForgetAnswer, error) {
	query := url.Values{"revoke": {strconv.FormatBool(revoke)}}
	return call[ForgetAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/forget", query, nil)
}

// Refresh refreshes the account if it is due, or in any case with force.
func (c AccountCalls) Refresh(ctx context.Context, account string, force bool) (RefreshAnswer, error) {
	query := url.Values{"force": {strconv.FormatBool(force)}}
	return call[RefreshAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/refresh", query, nil)
}

// TestAccount shows the account's newest access token to its broker.
func (c AccountCalls) TestAccount(ctx context.Context, account string) (AccountTestAnswer, error) {
	return call[AccountTestAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/test", nil, nil)
}

// Token returns the account's newest access token, even if it has expired.
func (c AccountCalls) Token(ctx context.Context, account string) (TokenAnswer, error) {
	return call[TokenAnswer](ctx, c.line, lookTimeout, http.MethodGet, "/v1/accounts/"+url.PathEscape(account)+"/token", nil, nil)
}

// UsableToken returns a token that meets req, for which the account may be refreshed.
func (c AccountCalls) UsableToken(ctx context.Context, req TokenRequest) (TokenAnswer, error) {
	query := url.Values{"min_valid": {req.MinValid.String()}, "if_version": {strconv.FormatUint(req.IfVersion, 10)}}
	return call[TokenAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(req.Account)+"/token", query, nil)
}

// Import hands over a token file.
func (c AccountCalls) Import(ctx context.Context, req ImportRequest) (ImportAnswer, error) {
	query := url.Values{"force": {strconv.FormatBool(req.Force)}}
	if req.Format != "" {
		query.Set("format", req.Format)
	}
	if req.Attempt != "" {
		query.Set("attempt", req.Attempt)
	}
	if req.Since != nil {
		query.Set("since", strconv.FormatUint(*req.Since, 10))
	}
	if !req.WrittenAt.IsZero() {
		query.Set("written_at", req.WrittenAt.UTC().Format(time.RFC3339))
	}
	if !req.LoginAt.IsZero() {
		query.Set("login_at", req.LoginAt.Format(time.RFC3339))
	}
	return call[ImportAnswer](ctx, c.line, lookTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(req.Account)+"/import", query, req.Body)
}

// LoginCalls are those about the login of an account.
type LoginCalls struct{ line *line }

// Login returns the login of the account that is open, or begins one of the shape ("":
// the usual one), with the address for the
// person, or begins one.
func (c LoginCalls) Login(ctx context.Context, account, shape string) (LoginAnswer, error) {
	query := url.Values{}
	if shape != "" {
		query.Set("shape", shape)
	}
	return call[LoginAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login", query, nil)
}

// AwaitLogin waits for the end of a login, a minute at most.
func (c LoginCalls) AwaitLogin(ctx context.Context, account, id string) (AwaitedAnswer, error) {
	return call[AwaitedAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/wait", url.Values{"id": {id}}, nil)
}

// CancelLogin ends the login that is open.
func (c LoginCalls) CancelLogin(ctx context.Context, account string) (CancelledAnswer, error) {
	return call[CancelledAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/cancel", nil, nil)
}

// CompleteLogin hands over the address that the broker sent the browser to, or what
// else it gave the person.
func (c LoginCalls) CompleteLogin(ctx context.Context, account, redirected string) (LoggedInAnswer, error) {
	return call[LoggedInAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/complete", nil, []byte(redirected))
}

// ConfirmLogin puts a login of another person in the place of the account's.
func (c LoginCalls) ConfirmLogin(ctx context.Context, account string) (LoggedInAnswer, error) {
	return call[LoggedInAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/confirm", nil, nil)
}

// DiscardLogin forgets it.
func (c LoginCalls) DiscardLogin(ctx context.Context, account string) (DiscardedAnswer, error) {
	return call[DiscardedAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/login/discard", nil, nil)
}
