package brokersim

import (
	"crypto"
	"fmt"
	"time"
)

// Dialect names the broker whose rules a [Server] follows.
type Dialect string

const (
	// Schwab: see dialect_schwab.go for its rules and their sources.
	Schwab Dialect = "schwab"
	// Saxo: see dialect_saxo.go for its rules and their sources.
	Saxo Dialect = "saxo"

	// The dialects below stand for a kind of broker each; dialect_kinds.go has
	// their rules and sources, and says what nobody has verified.

	// Questrade refreshes by GET, single-use, without a client.
	Questrade Dialect = "questrade"
	// CTrader takes GET alone, answers errors in a 200, and a refresh kills the
	// access token before.
	CTrader Dialect = "ctrader"
	// Intuit returns the same refresh token for a day, and takes the one before
	// for another.
	Intuit Dialect = "intuit"
	// Xero rotates always, and forgives a lost answer for half an hour.
	Xero Dialect = "xero"
	// Upstox has no refresh token: every token dies at half past three in India.
	Upstox Dialect = "upstox"
	// Dhan mints by PIN and TOTP, and renews by GET what still lives.
	Dhan Dialect = "dhan"
	// Tradovate renews by GET, a few times an hour, and allows two sessions.
	Tradovate Dialect = "tradovate"
	// IBKR mints by a client assertion, and wants a beat every few minutes.
	IBKR Dialect = "ibkr"
)

// Rotation says what a refresh does to the refresh token.
type Rotation string

const (
	// RotationDialect follows the broker.
	RotationDialect Rotation = ""
	// RotationNever returns the refresh token unchanged.
	RotationNever Rotation = "never"
	// RotationAlways replaces the refresh token; the one before is spent, and
	// using it again revokes the grant.
	RotationAlways Rotation = "always"
	// RotationDaily returns the same refresh token until it is a day old, and
	// then a new one. The one before works on for Config.ReuseGrace, and is
	// answered with the new one.
	RotationDaily Rotation = "daily"
)

// Refresh token lifetimes at Saxo. Its samples say an hour; that the
// simulation environment has a shorter one is UNVERIFIED.
const (
	SaxoSimRefreshLifetime  = 2400 * time.Second
	SaxoLiveRefreshLifetime = 3600 * time.Second
)

// Config describes an authorization server and its one registered client.
// Only Dialect is required.
type Config struct {
	Dialect Dialect

	// ClientID, ClientSecret and RedirectURL of the registered client.
	// Defaults: "app-key", "app-secret", "https://127.0.0.1:8182". Schwab takes
	// several redirect addresses, separated by commas, of https alone and with no
	// more than 255 characters in all.
	ClientID     string
	ClientSecret string
	RedirectURL  string
	// PKCE registers a public client that has no secret and must use a code
	// verifier (RFC 7636). Saxo only.
	PKCE bool

	// Lifetimes before Speed is applied. Zero: the broker's own.
	AccessLifetime  time.Duration
	RefreshLifetime time.Duration
	CodeLifetime    time.Duration

	// Speed divides every lifetime: with 60, an access token of half an hour
	// lives thirty seconds, and expires_in says so. The clock itself is not
	// warped, so that clients need not know. Zero: 1.
	Speed float64
	// Now is the server's clock. Default: time.Now, which is the simulated
	// clock inside a testing/synctest bubble.
	Now func() time.Time
	// ClockAhead is how far the Date header runs ahead of Now.
	ClockAhead time.Duration

	// Rotation overrides what the broker does to refresh tokens.
	Rotation Rotation
	// ReuseGrace is how long a spent refresh token may be sent again, as long
	// as its successor was not used (not divided by Speed). Zero: the broker's
	// own, which for most is not at all, the strict rule of RFC 9700, section
	// 4.14.2; negative: not at all.
	ReuseGrace time.Duration
	// DiesAt is the time of the day at which every token dies. Nil: the broker's
	// own, if it has one. It is not divided by Speed.
	DiesAt *WallClock
	// IdleLimit is after how long without a use of its access token, a beat or a
	// refresh a grant dies (not divided by Speed). Zero: the broker's own;
	// negative: never.
	IdleLimit time.Duration
	// Sessions is how many grants of an account live at a time; one more login
	// ends the oldest. Zero: the broker's own; negative: any number.
	Sessions int
	// RequestsPerHour of an account and grant type; the next ones are answered
	// 429 without a body. Zero: the broker's own; negative: any number.
	RequestsPerHour int
	// ClientKey verifies the client's assertions: *rsa.PublicKey, *ecdsa.PublicKey
	// (P-256) or ed25519.PublicKey. IBKR has nothing else; at Saxo it registers an
	// app for the certificate flow.
	ClientKey crypto.PublicKey
	// PIN and TOTPKey (raw, not in base32) of every account at Dhan. Defaults:
	// "1234" and the key of RFC 6238, appendix B.
	PIN     string
	TOTPKey []byte
	// Device adds the device authorization grant (RFC 8628) to a dialect that takes
	// forms: [Server.DeviceURL], and a person who is [Server.ApproveDevice].
	Device bool
	// Revokes adds token revocation (RFC 7009) to a dialect that takes forms, and says
	// what it ends: [Server.RevokeURL]. A revocation counts among the requests.
	Revokes Revocation
	// DeadGrantStatus is the HTTP status of an answer to a dead refresh token
	// or code. Default: 400 (RFC 6749, section 5.2); 401 is seen at Saxo too.
	DeadGrantStatus int
	// DeadAsInvalidClient lets Schwab call a refresh token that is past its seven
	// days invalid_client, as client programs have seen it too (schwab-py's docs).
	DeadAsInvalidClient bool
	// WrapsInvalidClient lets Schwab wrap invalid_client into another error, as it wraps
	// what it says of a dead refresh token. That it does so is UNVERIFIED.
	WrapsInvalidClient bool
	// SpendsFirst spends the refresh token of a request before it looks at its client,
	// against RFC 6749, section 6: who comes with a wrong secret is refused as elsewhere,
	// and the next refresh token reaches nobody.
	SpendsFirst bool

	// BaseURL of the server's addresses while it is used as an http.Handler
	// only. Default: "http://DIALECT.brokersim.invalid". Start replaces it.
	BaseURL string
}

// complete fills in the defaults. It panics where a configuration contradicts
// itself, because that is a defect of the test that wrote it.
func (c *Config) complete(rules rules) {
	setDefault(&c.ClientID, "app-key")
	if !c.PKCE {
		setDefault(&c.ClientSecret, "app-secret")
	}
	setDefault(&c.RedirectURL, "https://127.0.0.1:8182")
	setDefault(&c.AccessLifetime, rules.accessLifetime)
	setDefault(&c.RefreshLifetime, rules.refreshLifetime)
	setDefault(&c.CodeLifetime, rules.codeLifetime)
	setDefault(&c.Speed, 1)
	setDefault(&c.DeadGrantStatus, 400)
	setDefault(&c.BaseURL, "http://"+string(c.Dialect)+".brokersim.invalid")
	setDefault(&c.ReuseGrace, rules.reuseGrace)
	setDefault(&c.DiesAt, rules.diesAt)
	setDefault(&c.IdleLimit, rules.idle)
	setDefault(&c.Sessions, rules.sessions)
	setDefault(&c.PIN, "1234")
	if c.TOTPKey == nil {
		c.TOTPKey = []byte("12345678901234567890")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case rules.assertion && c.ClientKey == nil:
		panic(fmt.Sprintf("brokersim: %s knows its clients by a key; set Config.ClientKey", c.Dialect))
	case rules.redirects != nil && rules.redirects(c.RedirectURL) != "":
		panic("brokersim: Config.RedirectURL: " + rules.redirects(c.RedirectURL))
	case c.Revokes != RevokesNothing && (rules.query || c.Revokes != RevokesGrant && c.Revokes != RevokesClient):
		panic(fmt.Sprintf("brokersim: Config.Revokes is %q; it is RevokesGrant or RevokesClient, at a dialect that takes forms", c.Revokes))
	case c.Device && rules.query:
		panic(fmt.Sprintf("brokersim: %s takes no forms; leave Config.Device false", c.Dialect))
	case c.PKCE && !rules.pkce:
		panic(fmt.Sprintf("brokersim: %s has no PKCE; leave Config.PKCE false", c.Dialect))
	case c.PKCE && c.ClientSecret != "":
		panic("brokersim: a PKCE client is public and has no secret; leave Config.ClientSecret empty")
	case c.Speed < 0 || c.AccessLifetime < 0 || c.RefreshLifetime < 0 || c.CodeLifetime < 0:
		panic("brokersim: Config.Speed and the lifetimes can't be negative")
	}
	c.AccessLifetime = sped(c.AccessLifetime, c.Speed)
	c.RefreshLifetime = sped(c.RefreshLifetime, c.Speed)
	c.CodeLifetime = sped(c.CodeLifetime, c.Speed)
	switch c.Rotation {
	case RotationDialect:
		c.Rotation = rules.rotation
	case RotationNever, RotationAlways, RotationDaily:
	default:
		panic(fmt.Sprintf("brokersim: unknown Config.Rotation %q", c.Rotation))
	}
}

// sped divides a lifetime by speed and keeps it to whole seconds, the unit of
// expires_in (RFC 6749, section 5.1), but at least one.
func sped(d time.Duration, speed float64) time.Duration {
	d = time.Duration(float64(d) / speed).Truncate(time.Second)
	return max(d, time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
