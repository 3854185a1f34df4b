package sdk

import "time"

// Token is what an authorization server answered (RFC 6749, section 5.1),
// with the times made explicit.
type Token struct {
	// AccessToken is zero when the answer brought a new refresh token and
	// nothing else: that one is kept, and soon used to ask again.
	AccessToken Secret
	// RefreshToken is zero when the answer carried none: the one that was
	// sent then stays in use (RFC 6749, section 6).
	RefreshToken Secret
	TokenType    string
	Scope        string
	IDToken      Secret

	// IssuedAt is when the answer arrived, by this machine's wall clock.
	IssuedAt time.Time
	// Lifetime of the access token, counted from IssuedAt. 0: nobody knows it.
	// Negative: the server says that the token was dead before it came.
	Lifetime time.Duration
	// Uncertain: Lifetime was assumed, because the server did not say, or it
	// was read from a place that may be wrong.
	Uncertain bool
	// RefreshLifetime of the refresh token, counted from IssuedAt; 0 when the
	// server does not say.
	RefreshLifetime time.Duration
	// Skew is the server's Date minus IssuedAt; 0 when the server sent none.
	// Positive: the server's clock is ahead of ours. It tells a person that
	// this machine's clock is wrong, and moves no expiry: a token is issued and
	// dies by the same clock here.
	Skew time.Duration

	// Extra is delivered together with the access token, e.g. base_uri.
	Extra map[string]string
	// Private comes back to the provider at the next refresh and goes nowhere
	// else, e.g. code_verifier.
	Private map[string]Secret

	// Rescued says where the token was found, if that was not a whole and plain
	// answer; "": it was. It goes to people and must hold nothing of the
	// answer.
	Rescued string
}

// RescuedBesideError is the Rescued of a refresh token that stood beside an error. If
// that was the answer to a login, it is kept and does not take the place of a token
// that is good.
const RescuedBesideError = "the answer was an error, and held a new refresh token"

// Expiry is the moment at which the access token dies, by this machine's
// clock; zero if nobody knows it.
func (t Token) Expiry() time.Time {
	if t.IssuedAt.IsZero() || t.Lifetime == 0 {
		return time.Time{}
	}
	return t.IssuedAt.Add(t.Lifetime)
}

// Valid says whether the access token lives at now, as far as anybody knows: one
// whose end nobody knows counts as alive.
func (t Token) Valid(now time.Time) bool {
	if t.AccessToken.IsZero() || t.Lifetime < 0 {
		return false
	}
	expiry := t.Expiry()
	return expiry.IsZero() || now.Before(expiry)
}
