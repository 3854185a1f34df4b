package brokersim

import (
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
)

// Refresh token lifetimes at Saxo, as its two environments answer them in
// refresh_token_expires_in.
const (
	SaxoSimRefreshLifetime  = 2400 * time.Second
	SaxoLiveRefreshLifetime = 3600 * time.Second
)

// Config describes an authorization server and its one registered client.
// Only Dialect is required.
type Config struct {
	Dialect Dialect

	// ClientID, ClientSecret and RedirectURL of the registered client.
	// Defaults: "app-key", "app-secret", "https://127.0.0.1:8182".
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
	// as its successor was not used (not divided by Speed). Zero: not at all,
	// which is the strict rule of RFC 9700, section 4.14.2.
	ReuseGrace time.Duration
	// DeadGrantStatus is the HTTP status of an answer to a dead refresh token
	// or code. Default: 400 (RFC 6749, section 5.2); 401 is seen at Saxo too.
	DeadGrantStatus int

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
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
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
	case RotationNever, RotationAlways:
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
