// Package record holds what is stored of an account: its token with its history, the
// attempt that was announced, the login that was begun, the requests of the last hour;
// and how each is laid out as bytes. Nothing here is written anywhere.
package record

import (
	"bytes"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Origin is where a version came from.
type Origin string

const (
	OriginImport   Origin = "import"
	OriginLogin    Origin = "login"
	OriginRefresh  Origin = "refresh"
	OriginExternal Origin = "external" // another program refreshed the shared grant
	OriginRestore  Origin = "restore"  // a sink gave it back
	OriginMint     Origin = "mint"     // from the account's key, as a grant of its own
)

// keptFingerprints is how many past refresh tokens a record can tell apart.
const keptFingerprints = 32

// keptPast is how many more there can be where all of a grant are kept, and
// fingerprintSize how many bytes each has.
const (
	keptPast        = 20_000 - keptFingerprints
	fingerprintSize = 8
)

// Way is how an account gets its next token, by the provider's word when the record
// came.
type Way string

const (
	// WayRefresh spends the refresh token.
	WayRefresh Way = ""
	// WayRenew sends the access token, while it lives.
	WayRenew Way = "renew"
	// WayLogin: a person logs in.
	WayLogin Way = "login"
	// WayMint: the token is got from the account's key, which the configuration has.
	WayMint Way = "mint"
)

// Record is a token with its version and history, as stored.
type Record struct {
	Account  string `json:"account"`
	Provider string `json:"provider"`
	// Version grows by one with every new token of the account.
	Version uint64 `json:"version"`
	// Token is the newest one. Its RefreshToken is never zero once one is
	// known: an answer without a refresh token leaves the old one in place.
	Token  sdk.Token `json:"-"` // codec.go stores it
	Way    Way       `json:"way,omitempty"`
	Origin Origin    `json:"origin"`
	// Attempt that produced this version; "" for an import.
	Attempt  string    `json:"attempt,omitempty"`
	StoredAt time.Time `json:"stored_at,omitzero"`

	// LoginAt is when a person logged in; LoginUncertain: it was guessed from
	// a file that may have been rewritten at each refresh.
	LoginAt        time.Time `json:"login_at,omitzero"`
	LoginUncertain bool      `json:"login_uncertain,omitempty"`
	// RefreshExpiry is when the refresh token dies; zero: not known.
	RefreshExpiry time.Time `json:"refresh_expiry,omitzero"`

	// FoundIn says for people where a token was found that no broker has given us,
	// nor taken yet; "": it was not, or nobody knows.
	FoundIn string `json:"found_in,omitempty"`
	// GrantedTo says where the refresh token may be sent.
	GrantedTo GrantedTo `json:"granted_to,omitzero"`
	// AcceptedSecret is the fingerprint of the client secret that the broker took last;
	// "": the client has none, or nobody knows.
	AcceptedSecret string `json:"accepted_secret,omitempty"`
	// Candidate is a login of another person, which waits beside this version
	// and those that follow; nil: there is none.
	Candidate *Candidate `json:"-"`

	// Grant counts the account's grants: it grows with each login, import and mint, and
	// is 1 for the first. Parent is the fingerprint of the refresh token that this
	// version was obtained with; "": none (a login, an import, a mint), or nobody knows.
	Grant  uint64 `json:"grant,omitempty"`
	Parent string `json:"parent,omitempty"`

	// Fingerprints of past refresh tokens, newest first, and Past those of the
	// ones before, oldest first, eight bytes each, as far as they are kept: see
	// [Record.Replaced].
	Fingerprints []string `json:"fingerprints,omitempty"`
	Past         []byte   `json:"past,omitempty"`
	Health       Health   `json:"health,omitzero"`
	// Before is what this version, which was found somewhere, took the place
	// of, newest first: what was found before it and not proven either, and
	// last the one that the broker gave. They are kept until the broker has
	// taken this one, and tried one by one if it is refused.
	Before []Before `json:"-"`

	// Evidence are answers that were not installed, newest first: see
	// [Record.Late].
	Evidence []Evidence `json:"-"`

	// Held: it is in memory only (see Store.Hold). Not stored.
	Held bool `json:"-"`
	// Key is the fingerprint of the key from which the account's tokens can be minted,
	// as it is configured now; "": they can't be, or nobody knows. Not stored.
	Key string `json:"-"`

	// Unknown holds the fields that a newer program wrote; they survive.
	Unknown map[string][]byte `json:"-"`
}

// Health is how the account's refreshes go. It is stored, so that a restart
// forgets no failure.
type Health struct {
	// Failures in a row; Halves of them brought a new refresh token and no access
	// token.
	Failures    int       `json:"failures,omitempty"`
	Halves      int       `json:"halves,omitempty"`
	LastError   string    `json:"last_error,omitempty"`
	LastKind    sdk.Kind  `json:"last_kind,omitempty"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	// NeedsLogin holds the fingerprint of the token that the server refused, see
	// [Record.Spends].
	NeedsLogin string `json:"needs_login,omitempty"`
	// Ambiguous is since when an attempt's outcome is unknown; zero: none is.
	Ambiguous time.Time `json:"ambiguous,omitzero"`
	// KeyRefused holds the fingerprint of the key that the server refused, see
	// [Record.Key].
	KeyRefused string `json:"key_refused,omitempty"`
	// RevokeAsked is when a person had the broker asked to revoke the login, and Revoked
	// when it said that it has; zero: nobody has, or nobody knows whether it did.
	RevokeAsked time.Time `json:"revoke_asked,omitzero"`
	Revoked     time.Time `json:"revoked,omitzero"`
}

// Basis is the version of a record from which a change was made, and the grant that it is
// of; 0: an older program's, of which that is not known. The zero value: there was none.
type Basis struct{ Version, Grant uint64 }

// Is says whether r is that version, as far as is known.
func (b Basis) Is(r Record) bool {
	return b.Version == r.Version && (b.Grant == 0 || b.Grant == max(r.Grant, 1))
}

// Basis is the version that is stored: of a record that is held, the one before.
func (r Record) Basis() Basis {
	switch {
	case !r.Held:
		return Basis{r.Version, r.Grant}
	case r.Origin.beginsGrant():
		return Basis{r.Version - 1, r.Grant - 1}
	}
	return Basis{r.Version - 1, r.Grant}
}

// Spends is what the account's next attempt sends: the refresh token, or the access
// token that renews itself; zero: none can be made.
func (r Record) Spends() sdk.Secret {
	switch r.Way {
	case WayRefresh:
		return r.Token.RefreshToken
	case WayRenew:
		return r.Token.AccessToken
	}
	return sdk.Secret{}
}

// Next returns the record's next version with t as its token. What t does not
// say stays: the refresh token, the scope, the provider's private values. Its
// Health is good, and its Grant and Parent follow from origin.
func (r Record) Next(t sdk.Token, origin Origin, attempt string, now time.Time) Record {
	n := r
	n.Version++
	n.Held, n.Before, n.Evidence = false, nil, r.evidenceOf(t, now)
	n.FoundIn = ""
	n.Origin, n.Attempt, n.StoredAt = origin, attempt, now
	n.Health = Health{}
	n.descend(r)
	if t.RefreshToken.IsZero() {
		t.RefreshToken = r.Token.RefreshToken
	}
	if t.Scope == "" {
		t.Scope = r.Token.Scope
	}
	if t.Private == nil {
		t.Private = r.Token.Private
	}
	if t.Extra == nil {
		t.Extra = r.Token.Extra
	}
	n.Token = t
	if fp := r.Spends().Fingerprint(); fp != "" && !n.Spends().Equal(r.Spends()) {
		n.replaces(fp)
	}
	return n
}

// Spend notes that the record's token was obtained with the refresh token with
// that fingerprint: so that one is past, though no version had it.
func (r *Record) Spend(fingerprint string) {
	if fingerprint != "" && fingerprint != r.Token.RefreshToken.Fingerprint() && !r.Replaced(fingerprint) {
		r.replaces(fingerprint)
	}
}

func (r *Record) replaces(fingerprint string) {
	r.Past = r.past()
	r.Fingerprints = append([]string{fingerprint}, r.Fingerprints[:min(len(r.Fingerprints), keptFingerprints-1)]...)
}

// past is what is before the newest fingerprints once one more has come.
func (r Record) past() []byte {
	past := slices.Clip(r.Past)
	for n := len(r.Fingerprints) - 1; n >= keptFingerprints-1; n-- {
		if b, err := hex.DecodeString(r.Fingerprints[n]); err == nil && len(b) == fingerprintSize {
			past = append(past, b...)
		}
	}
	return past[max(0, len(past)-keptPast*fingerprintSize):]
}

// Replaced says whether a refresh token, by its fingerprint, is one that the
// record's has replaced, as far back as is kept: 32 of every account, and the
// 20,000 of a year of those whose tokens other programs see.
func (r Record) Replaced(fingerprint string) bool {
	if fingerprint == "" || slices.Contains(r.Fingerprints, fingerprint) {
		return fingerprint != ""
	}
	b, err := hex.DecodeString(fingerprint)
	if err != nil || len(b) != fingerprintSize {
		return false
	}
	for past := range slices.Chunk(r.Past, fingerprintSize) {
		if bytes.Equal(past, b) {
			return true
		}
	}
	return false
}

// Document is the record as its consumers know tokens, the refresh token
// included: who hands it on takes out what a consumer may not see.
func (r Record) Document() format.Document {
	return format.Document{
		Account: r.Account, Provider: r.Provider, Version: r.Version,
		AccessToken: r.Token.AccessToken, RefreshToken: r.Token.RefreshToken, IDToken: r.Token.IDToken,
		TokenType: r.Token.TokenType, Scope: r.Token.Scope, Extra: maps.Clone(r.Token.Extra),
		IssuedAt: r.Token.IssuedAt, Expiry: r.Token.Expiry(), Uncertain: r.Token.Uncertain,
		LoginAt: r.LoginAt, LoginUncertain: r.LoginUncertain, RefreshExpiry: r.RefreshExpiry,
	}
}

// GrantedTo is whom a broker has given a token to, as the configuration said
// then. Sent by another client, or to another server, a refresh token is worth
// nothing, and the server may take it for stolen. The zero value: not known.
type GrantedTo struct {
	// Client is the fingerprint of the client id.
	Client string `json:"client,omitempty"`
	// Environment of the broker, and host of its token endpoint; "": what the
	// provider takes if nothing is configured.
	Environment string `json:"environment,omitempty"`
	TokenHost   string `json:"token_host,omitempty"`
	// Servers are the provider's settings that say where refresh tokens are sent, as a
	// query (RFC 3986), with "" for those that were not configured; "": from before they
	// were noted.
	Servers string `json:"servers,omitempty"`
	// Person is who has logged in.
	Person Person `json:"person,omitzero"`
}
