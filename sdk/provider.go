package sdk

import (
	"context"
	"time"
)

// Provider is one broker. It is stateless: every request carries the client
// credentials, the settings and the token that it needs, so that a restarted
// provider needs no configuration. Its methods may be called concurrently,
// but never concurrently for one account.
type Provider interface {
	// Describe says who the provider is and how its broker treats tokens. It
	// must not touch the network.
	Describe(ctx context.Context) (Description, error)

	// Refresh spends req.Token.RefreshToken with exactly one request to the
	// token endpoint and returns the answer. It must not retry: the
	// supervisor decides that. What an error says of the token tells the [Error]
	// that it is, or wraps, or one of the Err… values of this package. One that is
	// neither is ambiguous, or of [KindNotSent] if the slot says that nothing was sent.
	//
	// ctx is not cancelled when the supervisor goes away, only at the
	// attempt's deadline: a refresh that was sent must be heard out.
	Refresh(ctx context.Context, req RefreshRequest) (Token, error)
}

// Authorizer is a Provider that can log a person in with the authorization
// code grant (RFC 6749, section 4.1).
type Authorizer interface {
	// AuthCodeURL builds the address at which the person logs in. It must not
	// touch the network.
	AuthCodeURL(ctx context.Context, req AuthRequest) (string, error)
	// Exchange spends the authorization code, under the rules of
	// [Provider.Refresh].
	Exchange(ctx context.Context, req ExchangeRequest) (Token, error)
}

// Issuer is an Authorizer that knows the issuer identifier of an account's
// authorization server (RFC 8414, section 2). A login that comes back with
// another one (RFC 9207) is not completed: the answer was made by somebody else.
type Issuer interface {
	// Issuer returns "" if it is not known for that account.
	Issuer(account Account) string
}

// SendMarker is a Provider that sends the requests of Refresh and Exchange
// through package oauth alone, or else notes in the attempt's slot (package
// spool, FromContext) that it is Sent before any byte of one can leave. When
// its process dies before that, nothing was sent, for certain, and nobody is
// alarmed; the death of any other provider during an attempt leaves everybody
// guessing.
type SendMarker interface {
	// MarksSends does nothing: it is the promise.
	MarksSends()
}

// Checker is a Provider that can prove with one cheap API call that an access
// token works. The call must change nothing at the broker. An error of [KindInvalidGrant]
// says that the broker refuses the token; any other says nothing of it.
type Checker interface {
	Check(ctx context.Context, req CheckRequest) error
}

// Revoker is a Provider whose broker ends a grant when it is asked to (RFC 7009). It is
// implemented only where the broker documents such a request.
type Revoker interface {
	// Revoke asks the broker once, and does not try again. nil: the broker has said that
	// the grant is over, which it says of a token that it does not know, too. An [Error] of
	// [KindNotSent], [KindInvalidClient], [KindInvalidGrant] or [KindRateLimited], or of
	// [KindTransient] with the HTTPStatus of the answer, says that nothing was revoked.
	// Any other error, as where no answer came, leaves open whether the token lives:
	// nobody believes then that it does, nor that it does not. See [RevokedNothing].
	Revoke(ctx context.Context, req RevokeRequest) error
}

// Account is what the configuration says of one account: one grant (one
// login) at one provider.
type Account struct {
	Name         string
	ClientID     string
	ClientSecret Secret
	RedirectURL  string
	Scopes       []string
	// Settings are the broker's own, as its Description lists them.
	Settings map[string]string
}

// Attempt names one use of a refresh token or of an authorization code.
type Attempt struct {
	// ID is unique over all accounts and time.
	ID string
	// Version of the record that the attempt starts from.
	Version uint64
	// Fingerprint of the refresh token that is spent; empty for an exchange.
	Fingerprint string
	// Deadline of the whole attempt. Zero: none.
	Deadline time.Time
	// Spool for which it was announced; see [spool.Contents]. "": any.
	Spool string
}

// RefreshRequest asks for the refresh_token grant (RFC 6749, section 6).
type RefreshRequest struct {
	Attempt Attempt
	Account Account
	// Token is the newest one that the supervisor holds.
	Token Token
}

// AuthRequest asks for the address of a login.
type AuthRequest struct {
	Account Account
	// State is the caller's, against cross-site request forgery (RFC 6749,
	// section 10.12).
	State string
	// CodeVerifier is the caller's, for PKCE (RFC 7636); a provider that does
	// not use PKCE ignores it.
	CodeVerifier string
}

// ExchangeRequest spends an authorization code.
type ExchangeRequest struct {
	Attempt      Attempt
	Account      Account
	Code         Secret
	CodeVerifier Secret
}

// CheckRequest asks whether Token works, which comes without its refresh token.
type CheckRequest struct {
	Account Account
	Token   Token
}

// RevokeRequest asks to end the grant that Token belongs to: by its refresh token, or by
// its access token if it has no other.
type RevokeRequest struct {
	Account Account
	Token   Token
}
