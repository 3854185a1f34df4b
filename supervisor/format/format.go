// Package format turns a token into the bytes that programs read, and back:
// our own layout and those of existing services.
package format

import (
	"errors"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Document is a token as its consumers see it.
type Document struct {
	Account  string
	Provider string
	Version  uint64

	AccessToken sdk.Secret
	// RefreshToken is zero unless the sink has include_refresh_token.
	RefreshToken sdk.Secret
	// Several are the refresh tokens that stand whole in a file that is cut off or damaged,
	// if they are more than one: RefreshToken is zero then. They are only read: see [Salvage].
	Several []sdk.Secret
	// IDToken goes where the refresh token goes.
	IDToken   sdk.Secret
	TokenType string
	Scope     string
	Extra     map[string]string

	IssuedAt time.Time
	// Expiry of the access token; zero: nobody knows it. Uncertain: it was
	// assumed, and whoever gave the token did not say.
	Expiry    time.Time
	Uncertain bool
	// Naive: Expiry was read from a local time without a zone.
	Naive bool
	// Lifetime is what a file says that tells no moment from which it counts;
	// Expiry is zero then. 0: it does not say. It is only read.
	Lifetime time.Duration
	// RefreshLifetime is the same of the refresh token.
	RefreshLifetime time.Duration
	// WrittenAt is when the file was written, by the file system or by whoever
	// keeps it; zero: not known. It is only read, and not by [Decode].
	WrittenAt time.Time
	// LoginAt is when a person logged in; LoginUncertain: the file that it
	// was read from may have been rewritten at each refresh.
	LoginAt        time.Time
	LoginUncertain bool
	RefreshExpiry  time.Time

	// ClientID and ClientSecret are for formats that carry them, and zero
	// unless the sink has include_refresh_token.
	ClientID     string
	ClientSecret sdk.Secret
}

// Format names.
const (
	JSON      = "json"       // our own
	Schwab    = "schwab"     // {"creation_timestamp", "token": {…}}
	SchwabPy  = "schwab-py"  // the same in one line, as the library schwab-py writes it
	SaxoCache = "saxo-cache" // access_token, refresh_token, token_expiry, app_key, app_secret

	// These are read and never written, because programs have them already.
	Answer    = "oauth2"    // what a token endpoint answers (RFC 6749, 5.1)
	GoOAuth2  = "go-oauth2" // Go's oauth2.Token as JSON
	Schwabdev = "schwabdev" // {"access_token_issued", "refresh_token_issued", "token_dictionary": {…}}

	// These are written and never read.
	Env         = "env"     // ACCESS_TOKEN="…" and the like, a line each, for shells
	MessageName = "message" // one short JSON object, see [Message]
	Raw         = "raw"     // the access token alone
)

// ErrUnknown: there is no format of that name.
var ErrUnknown = errors.New("unknown format")

// ErrUnreadable: the bytes are not a whole document of that format. It is what
// a half-written file gives, and means "nothing there".
var ErrUnreadable = errors.New("not a readable token file")

// ContentType returns the media type of what a format writes, for receivers
// that want to be told (RFC 9110, 8.3).
func ContentType(name string) string {
	switch name {
	case JSON, Schwab, SchwabPy, SaxoCache, MessageName:
		return "application/json"
	default:
		return "text/plain; charset=utf-8"
	}
}
