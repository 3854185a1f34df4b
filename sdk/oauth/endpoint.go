package oauth

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// DefaultTimeout bounds an attempt from the dial to the answer's last byte.
const DefaultTimeout = 30 * time.Second

// Endpoint is how one authorization server wants to be spoken to. A provider
// builds it anew for every call from the account's settings.
type Endpoint struct {
	AuthorizeURL string
	TokenURL     string
	// RefreshURL is where refreshes go, if not to TokenURL: Tradier has two
	// addresses. "": there too.
	RefreshURL string
	// RevokeURL is where a token is revoked (RFC 7009, section 2). "": the server has no
	// such address.
	RevokeURL string
	// DeviceURL is where logins with a device code begin (RFC 8628, section 3.1).
	DeviceURL string
	// AuthStyle says how the client authenticates (RFC 6749, section 2.3.1).
	// It must be set: x/oauth2 would find it out by posting the same refresh
	// token twice.
	AuthStyle oauth2.AuthStyle
	// PKCE sends a code challenge (S256) with the login and the code verifier
	// with the exchange (RFC 7636).
	PKCE bool
	// DefaultLifetime of an access token whose answer says nothing usable, where
	// this endpoint knows it better than [sdk.Policy.AccessLifetime]; 0: that one
	// holds, and the token's own Lifetime is 0.
	DefaultLifetime time.Duration
	// Timeout of a whole attempt; 0: [DefaultTimeout]. The context's deadline
	// also holds.
	Timeout time.Duration

	// EditForm has the last word over the parameters of the request, before they
	// are encoded. May be nil.
	EditForm func(form url.Values)
	// Classify gives a broker's own errors their kind where [Errors.Kinds] does
	// not do; "" leaves the decision to that and to RFC 6749. It sees parsed errors
	// only. May be nil.
	Classify func(OAuthError) sdk.Kind
	// Inner is the code of the error that a server has wrapped into another one; "": it
	// has wrapped none, or that is not sure. It takes the place of the outer code, for
	// Classify and for everybody who hears of the error. May be nil.
	Inner func(OAuthError) string
	// Extra names the answer's fields that go to Token.Extra.
	Extra []string
	// Private goes to Token.Private. It is spooled with the answer, so that a
	// recovered attempt has it even if the call that recovers has not.
	Private map[string]sdk.Secret

	// Requests, Answers and Errors say where the server leaves RFC 6749; their
	// zero values: nowhere.
	Requests Requests
	Answers  Answers
	Errors   Errors

	// Fault is why nothing can be sent, e.g. a wrong setting. An answer that
	// is already in the spool is read all the same.
	Fault error
}

// OAuthError is the error answer of RFC 6749, section 5.2. Its description is
// for [Endpoint.Classify] and [Endpoint.Inner] alone and goes into no log.
type OAuthError struct {
	HTTPStatus  int
	Code        string
	Description string
}

// AuthCodeURL builds the address at which a person logs in (RFC 6749, section
// 4.1.1). Its errors are of the kind invalid_client and name what is missing.
func (e Endpoint) AuthCodeURL(req sdk.AuthRequest) (string, error) {
	if err := e.checkAccount(req.Account); err != nil {
		return "", err
	}
	if err := checkURL(req.Account.Name, "authorize_url", e.AuthorizeURL); err != nil {
		return "", err
	}
	if req.Account.RedirectURL == "" {
		return "", Misconfigured(req.Account.Name, "redirect_url is missing")
	}
	var opts []oauth2.AuthCodeOption
	if e.PKCE {
		if req.CodeVerifier == "" {
			return "", Misconfigured(req.Account.Name, "the login needs a code verifier (PKCE) and the request has none")
		}
		opts = append(opts, oauth2.S256ChallengeOption(req.CodeVerifier))
	}
	if why := e.Requests.fault(); why != "" {
		return "", Misconfigured(req.Account.Name, why)
	}
	address := e.config(req.Account).AuthCodeURL(req.State, opts...)
	for _, resource := range e.Requests.Resource {
		address += "&resource=" + url.QueryEscape(resource)
	}
	return address, nil
}

// refreshing is the endpoint as refreshes see it.
func (e Endpoint) refreshing() Endpoint {
	if e.RefreshURL != "" {
		e.TokenURL = e.RefreshURL
	}
	return e
}

func (e Endpoint) config(a sdk.Account) *oauth2.Config {
	if e.AuthStyle == AuthNone || e.Requests.Assertion != nil {
		e.AuthStyle, a.ClientSecret = AuthInParams, sdk.Secret{}
	}
	return &oauth2.Config{
		ClientID:     a.ClientID,
		ClientSecret: a.ClientSecret.Reveal(),
		RedirectURL:  a.RedirectURL,
		Scopes:       a.Scopes,
		Endpoint:     oauth2.Endpoint{AuthURL: e.AuthorizeURL, TokenURL: e.TokenURL, AuthStyle: e.AuthStyle},
	}
}

func (e Endpoint) checkAccount(a sdk.Account) error {
	if e.Fault != nil {
		return e.Fault
	}
	if a.ClientID == "" {
		return Misconfigured(a.Name, "client_id is missing")
	}
	return nil
}

// checkToken says whether a request to the token endpoint may be made at all.
func (e Endpoint) checkToken(a sdk.Account) error {
	if err := e.checkAccount(a); err != nil && (e.Fault != nil || e.AuthStyle != AuthNone) {
		return err
	}
	switch e.AuthStyle {
	case AuthInHeader, AuthInParams, AuthNone:
	default:
		return Misconfigured(a.Name, "the provider does not say how the client authenticates (Endpoint.AuthStyle)")
	}
	if why := e.Requests.fault(); why != "" {
		return Misconfigured(a.Name, why)
	}
	setting := "token_url"
	if e.RefreshURL != "" && e.TokenURL == e.RefreshURL {
		setting = "refresh_url"
	}
	return checkURL(a.Name, setting, e.TokenURL)
}

func checkURL(account, setting, raw string) error {
	if fault := AddressFault(raw); fault != "" {
		return Misconfigured(account, setting+" "+fault)
	}
	return nil
}

// AddressFault says why raw can be no address of an [Endpoint], which wants TLS (RFC
// 6749, section 3.2) except on this machine; "": it can. It quotes nothing of raw.
func AddressFault(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return "is not an absolute URL"
	case u.Scheme == "https" || u.Scheme == "http" && staysHere(u.Hostname()):
		return ""
	}
	return "must begin with https:// (http:// is allowed to this machine alone)"
}

// staysHere: loopback addresses, and the names that RFC 6761 keeps off the
// network ("invalid" is what brokers in memory are called by).
func staysHere(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost" ||
		strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".invalid")
}

// Misconfigured is the error of an account whose configuration can't work.
// what names the setting and says what is wrong with it.
func Misconfigured(account, what string) error {
	return &sdk.Error{
		Kind:    sdk.KindInvalidClient,
		Message: fmt.Sprintf("account %s: %s; correct the configuration", account, what),
	}
}

func (e Endpoint) timeout() time.Duration {
	if e.Timeout > 0 {
		return e.Timeout
	}
	return DefaultTimeout
}

// host names the server in errors; the URL itself may hold a password.
func (e Endpoint) host() string {
	if u, err := url.Parse(e.TokenURL); err == nil && u.Host != "" {
		return u.Host
	}
	return "the token endpoint"
}
