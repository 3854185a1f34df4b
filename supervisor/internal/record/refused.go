package record

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

// CanMint says whether a token can be had from the account's key, which the server has
// not refused. Another key in the configuration is not the one that was refused.
func (r Record) CanMint() bool { return r.Key != "" && r.Key != r.Health.KeyRefused }

// NeedsLogin says whether only a person can help: what would be sent was refused, and
// nothing can be minted.
func (r Record) NeedsLogin() bool { return r.Refused() && !r.CanMint() }
