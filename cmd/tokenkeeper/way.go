package main

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// wayBy is the way in which accounts of a provider get their next token, by what it
// says of itself, as the control API names it.
func wayBy(d sdk.Description) string {
	if w := refresh.WayOf(d); w != store.WayRefresh {
		return string(w)
	}
	return control.WayRefresh
}

// timesOf is a provider's policy as the time of a refresh or a renewal follows from it:
// a login dies with the access token that nobody has renewed, so that a renewal is not
// put off for consumers' sake.
func timesOf(d sdk.Description) sdk.Policy {
	p := d.Policy
	if wayBy(d) == control.WayRenew && p.OldAccessDies {
		p.OldAccessDies, p.BeforeExpiry = false, min(p.BeforeExpiry, p.AccessLifetime/2)
	}
	return p
}

// noRefreshToken is what a person is told in the place of a refresh token's end; "":
// the account has one.
func noRefreshToken(way string) string {
	switch way {
	case control.WayRenew:
		return "none: the access token renews itself while it lives"
	case control.WayLogin:
		return "none: the next token comes from a login"
	case control.WayMint:
		return "none: the next token is minted from the account's key"
	}
	return ""
}

// act is what is done to get the next token.
func act(way string) string {
	switch way {
	case control.WayRenew:
		return "renewal"
	case control.WayMint:
		return "mint"
	}
	return "refresh"
}
