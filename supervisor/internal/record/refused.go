package record

import "time"

// This file holds what a refusal means for an account: whether something can still be
// sent for it, and whether a person is needed.

// Refused says whether the server has refused the very thing that would be sent for
// the next token, or there is none and one is needed. That a token has ended says its
// time. A login that was revoked is over also where logins alone bring tokens.
func (r Record) Refused() bool {
	fp := r.Spends().Fingerprint()
	switch r.Way {
	case WayLogin:
		return !r.Health.Revoked.IsZero()
	case WayMint:
		return r.Key != "" && !r.CanMint() // without a key nobody has met its provider yet
	}
	return fp == "" || r.Health.NeedsLogin == fp
}

// Ended says whether its token is refused because a person has had its login ended: by the
// broker's word, or because it was refused since the broker was asked.
func (r Record) Ended() bool {
	return r.Refused() && !(r.Health.Revoked.IsZero() && r.Health.RevokeAsked.IsZero())
}

// RevokeUnknown is since when nobody knows whether its login is over: a person had the broker
// asked to end it, and neither an answer nor an attempt since has said what came of that; zero:
// nobody had, or that is known.
func (r Record) RevokeUnknown() time.Time {
	if r.Refused() || !r.Health.Revoked.IsZero() {
		return time.Time{}
	}
	return r.Health.RevokeAsked
}

// CanMint says whether a token can be had from the account's key, which the server has
// not refused. Another key in the configuration is not the one that was refused.
func (r Record) CanMint() bool { return r.Key != "" && r.Key != r.Health.KeyRefused }

// NeedsLogin says whether only a person can help: what would be sent was refused, and
// nothing can be minted.
func (r Record) NeedsLogin() bool { return r.Refused() && !r.CanMint() }
