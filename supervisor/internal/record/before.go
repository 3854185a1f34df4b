package record

import (
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// This file holds what a version that was found somewhere can be gone back from.

// Before is a token that may live, and its login.
type Before struct {
	Token          sdk.Token `json:"-"` // codec.go stores it
	LoginAt        time.Time `json:"login_at,omitzero"`
	LoginUncertain bool      `json:"login_uncertain,omitempty"`
	RefreshExpiry  time.Time `json:"refresh_expiry,omitzero"`
	// FoundIn is as in a [Record].
	FoundIn   string    `json:"found_in,omitempty"`
	GrantedTo GrantedTo `json:"granted_to,omitzero"`
}

// keptUnproven is how many tokens that were found, and that the broker has never
// seen, a record can go back to.
const keptUnproven = 4

// Unproven is what a version with the token found, which was found somewhere, has
// to keep of r, which it takes the place of: what may live, newest first. It is
// never that token's own refresh token: a refusal of that one is the end of it.
func (r Record) Unproven(found sdk.Token) []Before {
	if r.Version == 0 {
		return nil
	}
	chain := r.Fallback()
	if !r.Refused() {
		chain = append([]Before{{
			Token: r.Token, LoginAt: r.LoginAt, LoginUncertain: r.LoginUncertain, RefreshExpiry: r.RefreshExpiry,
			FoundIn: r.FoundIn, GrantedTo: r.GrantedTo,
		}}, chain...)
	}
	seen := map[string]bool{found.RefreshToken.Fingerprint(): true}
	chain = slices.DeleteFunc(slices.Clone(chain), func(b Before) bool {
		fp := b.Token.RefreshToken.Fingerprint()
		again := seen[fp]
		seen[fp] = true
		return again
	})
	if n := len(chain); n > keptUnproven+1 { // the last one was proven once
		chain = append(chain[:keptUnproven:keptUnproven], chain[n-1])
	}
	return chain
}

// Fallback is what can be gone back to if the broker refuses r, newest first.
func (r Record) Fallback() []Before {
	if r.Origin != OriginExternal && r.Origin != OriginRestore {
		return nil
	}
	return r.Before
}
