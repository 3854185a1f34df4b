package main

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
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

// wishesOf is when the configuration and the provider want an account to be refreshed.
func wishesOf(c config.Refresh, d sdk.Description) schedule.Policy {
	return schedule.Policy{BeforeExpiry: c.BeforeExpiry, Every: c.Every}.By(d.Policy.BeforeExpiry, d.Policy.OldAccessDies)
}

// askedOf is when an account is refreshed or renewed by that: its login dies with an
// access token that nobody has renewed.
func askedOf(c config.Refresh, d sdk.Description) schedule.Policy {
	p := wishesOf(c, d)
	if wayBy(d) == control.WayRenew {
		p = p.Renewing(d.Policy.AccessLifetime)
	}
	return p
}

// budgetedOf is when an account is refreshed by its budget too, as far as it has one that
// its provider allows.
func budgetedOf(c config.Refresh, d sdk.Description) schedule.Policy {
	p := askedOf(c, d)
	p.Budget = refresh.Apart(refresh.Budget{PerHour: c.Budget, AcceptRisk: c.AcceptRisk}, c.Timeout, d)
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
