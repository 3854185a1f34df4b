package sdk

import (
	"context"
	"time"
)

// The interfaces of this file are for brokers whose tokens are not refreshed with a
// refresh token, or not with that alone. A provider that implements one of them
// speaks version 2 of the contract; a Tokenkeeper that knows version 1 alone says so
// and does not start it.

// Renewer is a Provider whose access token renews itself while it lives, such as
// Tradovate's and Dhan's. What is dead can't be renewed: someone must log in.
type Renewer interface {
	// Renew sends req.Token.AccessToken in one request and returns the next token,
	// under the rules of [Provider.Refresh].
	Renew(ctx context.Context, req RenewRequest) (Token, error)
}

// Minter is a Provider that gets a token without a person and without a token: from
// a key, an assertion, a TOTP.
type Minter interface {
	// Mint makes one request, under the rules of [Provider.Refresh]. Nothing is lost
	// with its answer, but see [Description.Repeat].
	Mint(ctx context.Context, req MintRequest) (Token, error)
}

// Keepalive is a Provider whose sessions die of idleness, see
// [Description.KeepaliveEvery].
type Keepalive interface {
	// KeepAlive makes one cheap call that keeps the session alive and says how it
	// is. It is no attempt: nothing is spooled, and a failure counts for nothing
	// but itself. An error says that nobody knows how the session is.
	KeepAlive(ctx context.Context, req KeepaliveRequest) (Life, error)
}

// NoRefresh is for embedding: the Refresh of a provider whose broker knows no
// refresh tokens. It says so in the description, so that nobody calls it.
type NoRefresh struct{}

// Refresh returns [ErrUnimplemented].
func (NoRefresh) Refresh(context.Context, RefreshRequest) (Token, error) {
	return Token{}, ErrUnimplemented
}

func (NoRefresh) knowsNoRefreshTokens() {}

// RenewRequest asks for the next access token of a grant that lives.
type RenewRequest struct {
	Attempt Attempt
	Account Account
	// Token is the newest one that the supervisor holds.
	Token Token
}

// MintRequest asks for a token of an account. What proves who asks stands in the
// account's settings.
type MintRequest struct {
	Attempt Attempt
	Account Account
	// Token is the newest one that the supervisor holds; zero: none.
	Token Token
}

// KeepaliveRequest asks to keep the session of a token alive.
type KeepaliveRequest struct {
	Account Account
	Token   Token
}

// Life is how a session is.
type Life string

const (
	Alive Life = "alive"
	// Competing: another login has taken the session, e.g. the person's own. Taking
	// it back would throw that one out, so that nothing is done unasked.
	Competing Life = "competing"
	// Gone: it must be minted, or logged in, anew.
	Gone Life = "gone"
)

// Repeat is what the second of two equal requests does.
type Repeat string

const (
	// RepeatHarmless: as many as one likes live side by side, so that a lost answer is
	// asked for again at once.
	RepeatHarmless Repeat = "harmless"
	// RepeatReplaces: the token before dies at once, whether or not the answer came.
	RepeatReplaces Repeat = "replaces"
	// RepeatLimited: too many of them, or too many that fail, lock the account out;
	// see [Limits].
	RepeatLimited Repeat = "limited"
)

// Limits are what a broker allows an account; 0: nobody knows. The supervisor keeps
// to them over restarts: from three requests an hour on it leaves one to a person, and
// it sends nothing that could be the failed login which locks the account out.
type Limits struct {
	// RequestsPerHour of those that get tokens. To ask whether a person is done with
	// a login is none.
	RequestsPerHour int
	// FailedLoginsPerHour after which the broker locks the account or the address
	// out; LockedOutFor is for how long.
	FailedLoginsPerHour int
	LockedOutFor        time.Duration
}
