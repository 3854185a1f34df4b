package oauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

const (
	// checkTimeout bounds a check, and mostOfCheck what is looked at of its answer.
	checkTimeout = 20 * time.Second
	mostOfCheck  = 16 << 10
)

// Check asks the broker's API for what is at an address with the access token of an
// account: one GET, by the way of the account (its proxy and its authorities). nil: a
// success was answered. A redirect is not followed, and nothing of an answer is quoted or
// kept.
//
// Every error is an [*sdk.Error]. One of the kind invalid_grant says that the access token
// is refused (401); what any other one is about, the token may be as good as before.
func (c *Client) Check(ctx context.Context, address string, req sdk.CheckRequest) error {
	a := req.Account
	if err := checkURL(a.Name, "check_url", address); err != nil {
		return err
	}
	if fault := ProxyFault(a.Settings[SettingProxy]); fault != "" {
		return Misconfigured(a.Name, "the setting "+SettingProxy+" "+fault)
	}
	try := attempt{client: c, endpoint: Endpoint{TokenURL: address}, account: a}
	if req.Token.AccessToken.IsZero() {
		return try.notSent("there is no access token")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	gate, way := &gate{}, newRoute(a)
	out, err := http.NewRequestWithContext(traced(ctx, gate, way), http.MethodGet, address, http.NoBody)
	if err != nil {
		return try.notSent("the request could not be built")
	}
	out.Close = true
	for name, value := range map[string]string{
		"Authorization": "Bearer " + req.Token.AccessToken.Reveal(), "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tokenkeeper",
	} {
		out.Header.Set(name, value)
	}
	transport, err := c.transport(gate, way, a, nil)
	if err != nil {
		return try.notSent(err.Error())
	}
	resp, err := transport.RoundTrip(out)
	switch {
	case err != nil && !gate.passed():
		return try.notSent(way.reason(err, try.endpoint.host()))
	case err != nil:
		return &sdk.Error{Kind: sdk.KindTransient, Message: fmt.Sprintf(
			"account %s: %s was asked and has not answered: %s", a.Name, try.endpoint.host(), way.reason(err, try.endpoint.host()))}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, mostOfCheck)) // the status decides; a part shows a page
	return try.checked(answer{meta{
		Status: resp.StatusCode, Date: resp.Header.Get("Date"), ContentType: resp.Header.Get("Content-Type"),
		ContentEncoding: strings.Join(resp.Header.Values("Content-Encoding"), ","), RetryAfter: resp.Header.Get("Retry-After"), Received: time.Now(),
	}, body})
}

// checked is what an answer says of the access token that was asked with.
func (a attempt) checked(ans answer) error {
	fail := func(kind sdk.Kind, what string) *sdk.Error {
		return &sdk.Error{Kind: kind, HTTPStatus: ans.Status, Message: fmt.Sprintf("account %s: %s %s", a.account.Name, a.endpoint.host(), what)}
	}
	stranger := ans.stranger(ans.content())
	wait, later := retryAfter(ans.RetryAfter, ans.Date, ans.Received)
	switch {
	case ans.ok() && stranger == "":
		return nil
	case ans.Status == http.StatusUnauthorized:
		return fail(sdk.KindInvalidGrant, "refuses the access token (HTTP 401)")
	case ans.Status == http.StatusTooManyRequests, later && !ans.ok():
		err := fail(sdk.KindRateLimited, fmt.Sprintf("asks to come back later (HTTP %d), which says nothing of the token", ans.Status))
		err.RetryAfter = wait
		return err
	}
	return fail(sdk.KindTransient, fmt.Sprintf("answered HTTP %d, which says nothing of the token%s", ans.Status, stranger))
}
