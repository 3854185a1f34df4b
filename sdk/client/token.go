package client

import "time"

// Token is one version of an account's access token.
type Token struct {
	AccessToken Secret `json:"access_token"`
	// TokenType is how the token is used (RFC 6749, section 7.1): "Bearer".
	TokenType string `json:"token_type"`
	// Expiry is the end of the access token's life; zero: not known.
	Expiry time.Time `json:"expires_at"`
	// Version grows by one with every new token of the account.
	Version uint64 `json:"version"`
}

// ValidFor says whether the token lives for more than margin from now on, by
// this machine's clock. A token without an Expiry counts as valid.
func (t Token) ValidFor(margin time.Duration) bool {
	if t.Version == 0 {
		return false
	}
	return t.Expiry.IsZero() || time.Until(t.Expiry) > margin
}
