package main

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// This file says when what an account has ends.

// accessEnd is when the access token expires, for a column.
func accessEnd(a control.Account, now time.Time) string {
	if a.Version > 0 && a.Expiry.IsZero() {
		return moment.Unknown
	}
	return moment.Brief(a.Expiry, now, a.ExpiryUncertain)
}

// refreshEnd is when the refresh token expires, or what there is in its place, for a
// column.
func refreshEnd(a control.Account, now time.Time) string {
	switch {
	case a.Way == control.WayRenew:
		return "none: renewed"
	case a.Way == control.WayLogin:
		return "none: by hand"
	case a.Way == control.WayMint:
		return "none: minted"
	case !a.Revoked.IsZero():
		return "revoked"
	case a.RefreshRefused:
		return "refused"
	case a.RefreshExpiryUnknown:
		return moment.Unknown
	}
	return moment.Brief(a.RefreshExpiry, now, a.RefreshExpiryUncertain)
}

// ending is when a token that is there expires.
func ending(t, now time.Time, uncertain bool) string {
	if t.IsZero() {
		return "at a time that nobody knows; it is refreshed as if that were now"
	}
	return moment.Text(t, now, uncertain)
}
