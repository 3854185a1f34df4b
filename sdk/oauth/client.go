package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// Client makes the requests. Its zero value is ready for use, and it may be
// used concurrently; set its fields before the first use.
type Client struct {
	// Dial opens connections; nil: the operating system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs are trusted; nil: the system's, which are loaded at the first
	// attempt at which there are any.
	RootCAs *x509.CertPool

	told uint32 // 1: a person was warned of EncodingQuery
}

// tellOfAddress says once that secrets stand in addresses.
func (c *Client) tellOfAddress(e Endpoint) {
	if e.Requests.Encoding == EncodingQuery && atomic.CompareAndSwapUint32(&c.told, 0, 1) {
		slog.Warn("this broker takes its tokens by GET: they stand in the address of the request, which proxies and servers "+
			"write into their logs; let no proxy that you don't trust stand between", "host", e.host())
	}
}

// Refresh spends req.Token.RefreshToken in one request to e. The returned token
// has a zero RefreshToken if the answer carried none.
//
// Every error is an [*sdk.Error]. With a spool slot in ctx (package sdk puts
// it there) that already holds the attempt's answer, nothing is sent.
func (c *Client) Refresh(ctx context.Context, e Endpoint, req sdk.RefreshRequest) (sdk.Token, error) {
	a := attempt{client: c, endpoint: e.refreshing(), account: req.Account, sent: req.Token.RefreshToken.Fingerprint()}
	return a.run(ctx, func(ctx context.Context, config *oauth2.Config) error {
		_, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: req.Token.RefreshToken.Reveal()}).Token()
		return err
	}, requirement{!req.Token.RefreshToken.IsZero(), "holds no refresh token; someone must log in"})
}

// Exchange spends an authorization code in one request to e, under the rules of
// [Client.Refresh].
func (c *Client) Exchange(ctx context.Context, e Endpoint, req sdk.ExchangeRequest) (sdk.Token, error) {
	a := attempt{client: c, endpoint: e, account: req.Account, exchange: true}
	return a.run(ctx, func(ctx context.Context, config *oauth2.Config) error {
		var opts []oauth2.AuthCodeOption
		if e.PKCE {
			opts = append(opts, oauth2.VerifierOption(req.CodeVerifier.Reveal()))
		}
		_, err := config.Exchange(ctx, req.Code.Reveal(), opts...)
		return err
	}, requirement{!req.Code.IsZero(), "has no authorization code to exchange; log in again"},
		requirement{!e.PKCE || !req.CodeVerifier.IsZero(), "has no code verifier for the exchange; log in again"})
}

// attempt is one call's way to an answer.
type attempt struct {
	client   *Client
	endpoint Endpoint
	account  sdk.Account
	sent     string      // fingerprint of the refresh token that is spent; "": none is
	exchange bool        // a code is spent
	renews   string      // fingerprint of the access token that renews itself; "": none does
	slot     *spool.Slot // nil outside of sdk.Serve
}

// requirement is what a request must carry before anything is sent.
type requirement struct {
	met       bool
	otherwise string
}

// run answers from the spool if it can, and otherwise lets grant make x/oauth2
// build the one request.
func (a attempt) run(ctx context.Context, grant func(context.Context, *oauth2.Config) error, needs ...requirement) (sdk.Token, error) {
	a.slot, _ = spool.FromContext(ctx)
	if a.slot != nil {
		if spooled, ok := a.slot.Answer(); ok {
			return a.recover(spooled)
		}
		if a.slot.Progress() != spool.Ready { // the provider does not say that it marks what it sends
			err := a.slot.Advance(spool.Ready)
			if errors.Is(err, spool.ErrSent) {
				return sdk.Token{}, a.sentBefore()
			}
			if err != nil {
				return sdk.Token{}, a.notSent("the spool can't be written: " + err.Error())
			}
		}
	}
	if err := a.endpoint.checkToken(a.account); err != nil {
		return sdk.Token{}, err
	}
	if fault := ProxyFault(a.account.Settings[SettingProxy]); fault != "" {
		return sdk.Token{}, Misconfigured(a.account.Name, "the setting "+SettingProxy+" "+fault)
	}
	if ca := a.account.Settings[SettingCAFile]; ca != "" && !filepath.IsAbs(ca) { // what else is wrong with it may pass
		return sdk.Token{}, Misconfigured(a.account.Name, "the setting "+SettingCAFile+" "+errRelative.Error())
	}
	for _, need := range needs {
		if !need.met {
			return sdk.Token{}, &sdk.Error{
				Kind: sdk.KindNotSent, Message: fmt.Sprintf("account %s %s", a.account.Name, need.otherwise),
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.endpoint.timeout())
	defer cancel()
	a.client.tellOfAddress(a.endpoint)
	post := &onePost{attempt: a}
	err := grant(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: post}), a.endpoint.config(a.account))
	if !post.used {
		return sdk.Token{}, a.notSent(fmt.Sprintf("the request could not be built (%T)", err))
	}
	return post.token, post.err
}

// recover reads the answer that this attempt got earlier, perhaps in a process
// that is gone.
func (a attempt) recover(spooled []byte) (sdk.Token, error) {
	ans, err := decodeAnswer(spooled)
	if err != nil {
		return sdk.Token{}, &sdk.Error{Kind: sdk.KindAmbiguous, Unread: true, Message: fmt.Sprintf(
			"account %s: an answer is in the spool, but not in a layout that this provider reads: %v", a.account.Name, err)}
	}
	return a.endpoint.read(a.account.Name, ans)
}

func (a attempt) notSent(why string) *sdk.Error {
	return &sdk.Error{Kind: sdk.KindNotSent, Message: fmt.Sprintf(
		"account %s: nothing was sent to %s: %s", a.account.Name, a.endpoint.host(), why)}
}

// sentBefore is the end of a call in an attempt whose one request was made by another
// call, and has no answer.
func (a attempt) sentBefore() *sdk.Error {
	return a.ambiguous("the provider has asked for a second request in the same attempt, which was not made")
}

func (a attempt) ambiguous(why string) *sdk.Error {
	return &sdk.Error{Kind: sdk.KindAmbiguous, Message: fmt.Sprintf(
		"account %s: the request was sent to %s and no answer came: %s", a.account.Name, a.endpoint.host(), why)}
}
