package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Standing is the token that an account has: [None], [Good], [Unproven] or
// [Refused].
type Standing interface {
	// Record is of version 0 if there is none; it may have a key, and a health.
	Record() store.Record
	// Stored says whether there is a record.
	Stored() bool
	// HasToken says whether t is the record's refresh token.
	HasToken(t sdk.Secret) bool
	// Expiry is that of the record's access token. Like HasToken it costs little where
	// many accounts are looked at.
	Expiry() time.Time
	// of is the record itself, which nobody changes.
	of() *store.Record
	name() string
}

type (
	// None: there was never a token.
	None struct{ kept }
	// Good: the broker gave it, or a person brought it.
	Good struct{ kept }
	// Unproven: it was found somewhere, and the broker has not seen it yet. What
	// it took the place of can be gone back to.
	Unproven struct {
		kept
		Before []store.Before
	}
	// Refused: the broker has refused the token, or of a minted one the key, that it
	// would send, or it has none and needs one.
	Refused struct{ kept }
)

func (None) name() string     { return "none" }
func (Good) name() string     { return "good" }
func (Unproven) name() string { return "unproven" }
func (Refused) name() string  { return "refused" }

// StandingOf is what a record says; one of version 0 is none.
func StandingOf(rec store.Record) Standing {
	switch before := rec.Unproven(rec.Token); {
	case rec.Version == 0:
		return None{kept{&rec}}
	case rec.Refused():
		return Refused{kept{&rec}}
	case len(before) > 0:
		return Unproven{kept{&rec}, before}
	}
	return Good{kept{&rec}}
}

// kept is the record of an account, whatever is thought of it; the zero value is of
// version 0.
type kept struct{ record *store.Record }

func (k kept) of() *store.Record {
	if k.record == nil {
		return &store.Record{}
	}
	return k.record
}

func (k kept) Record() store.Record       { return *k.of() }
func (k kept) Stored() bool               { return k.of().Version > 0 }
func (k kept) HasToken(t sdk.Secret) bool { return t.Equal(k.of().Token.RefreshToken) }
func (k kept) Expiry() time.Time          { return k.of().Token.Expiry() }
