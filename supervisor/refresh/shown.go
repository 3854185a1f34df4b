package refresh

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Shown is what people and programs are told of an account, as the control API
// returns it.
type Shown struct {
	State   State  `json:"state"`
	Version uint64 `json:"version"`
	// Origin of the newest token.
	Origin store.Origin `json:"origin,omitempty"`
	// Way in which it gets its next token, as [WayName] names it; "": there is none yet,
	// and none is minted.
	Way string `json:"way,omitempty"`
	// Grant counts the account's logins, imports and mints; 0: there is no token.
	Grant uint64 `json:"grant,omitempty"`
	// Person is whose login it is, by the broker's word, as people are told; "":
	// the broker does not say.
	Person string `json:"person,omitempty"`
	// Candidate is a login of another person, which waits for somebody to confirm
	// or discard it.
	Candidate *WaitingLogin `json:"candidate,omitempty"`

	// Expiry of the access token; not set: nobody knows it. ExpiryUncertain: it
	// was assumed, and the broker did not say.
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
	RefreshExpiry   time.Time `json:"refresh_expires_at,omitzero"`
	// RefreshExpiryUncertain: derived from a file that may have been
	// rewritten at each refresh, or from what the broker does not document.
	RefreshExpiryUncertain bool `json:"refresh_expiry_uncertain,omitempty"`
	// RefreshExpiryUnknown: it ends a fixed time after the login, and nobody
	// knows when that was.
	RefreshExpiryUnknown bool `json:"refresh_expiry_unknown,omitempty"`
	// GrantExpiry is when the login is over, however it is refreshed; not set: nobody knows,
	// or it does not end so. Where a login ends the refresh token it is RefreshExpiry.
	GrantExpiry          time.Time `json:"grant_expires_at,omitzero"`
	GrantExpiryUncertain bool      `json:"grant_expiry_uncertain,omitempty"`
	// RefreshRefused: the broker has refused the refresh token, which has no end any more.
	RefreshRefused bool `json:"refresh_refused,omitempty"`
	// Revoked is when the broker ended the login by a person's word; not set: it did not.
	Revoked time.Time `json:"revoked_at,omitzero"`
	// RevokeUnknown is when the broker was asked to do so, as long as nobody knows whether it
	// has: to be asked again, or looked up in the broker's account page.
	RevokeUnknown time.Time `json:"revoke_unknown_since,omitzero"`
	LastRefresh   time.Time `json:"last_refresh,omitzero"`
	// OldAccessDies: a refresh, or a renewal, kills the access token that consumers hold.
	OldAccessDies bool      `json:"old_access_dies,omitempty"`
	Due           time.Time `json:"due,omitzero"`
	// Would is what would be done next, at the due moment if there is one, by a supervisor
	// that does not only observe: refresh, renewal, mint, settle, wait or nothing; "": this
	// one does it.
	Would string `json:"would,omitempty"`
	// WouldFirst is what is wrong with the shared file, and what would become of it before
	// that; "": nothing, or this one does it.
	WouldFirst string `json:"would_first,omitempty"`

	Failures    int       `json:"failures"`
	MaxFailures int       `json:"max_failures"`
	LastError   string    `json:"last_error,omitempty"`
	LastKind    sdk.Kind  `json:"last_kind,omitempty"`
	LastFailure time.Time `json:"last_error_at,omitzero"`
	// AmbiguousSince: an attempt's outcome is not known.
	AmbiguousSince time.Time `json:"ambiguous_since,omitzero"`
	InFlight       bool      `json:"in_flight,omitempty"`
	// Pause is by whom, since when and why nothing is asked of its broker; not set: it is
	// not paused.
	Pause *store.Pause `json:"pause,omitempty"`
	// Withheld is why its refresh token is not sent; "": it may be. See [Hold].
	Withheld string `json:"withheld,omitempty"`
	// Waiting is why an account that is past its due moment is not in flight, or
	// can't go on in it, and WaitingText says it to people; none: it is not past
	// it, or goes on. Where a person has to decide, that is said before the moment.
	Waiting     promise.Reason `json:"waiting,omitempty"`
	WaitingText string         `json:"waiting_text,omitempty"`
}

// WaitingLogin is a login of another person than the account's, which waits for
// somebody to confirm or discard it. It is not refreshed.
type WaitingLogin struct {
	Person  string    `json:"person"`
	LoginAt time.Time `json:"login_at,omitzero"`
	// Ends is when it can't be confirmed any more; not set: nobody knows.
	Ends time.Time `json:"ends,omitzero"`
}

// show sets what is told of the newest record.
func (s *Status) show() {
	r := s.Record
	s.Version, s.Origin, s.Grant = r.Version, r.Origin, r.Grant
	s.Person, s.Candidate = whose(r)
	if r.Version > 0 {
		s.Expiry, s.ExpiryUncertain, s.Way = r.Token.Expiry(), r.Token.Uncertain, WayName(r)
	}
	if s.Mints {
		s.Way = string(store.WayMint)
	}
	s.RefreshExpiry, s.RefreshExpiryUncertain = r.RefreshExpiry, s.EndGuessed && !r.RefreshExpiry.IsZero()
	s.RefreshExpiryUnknown = s.LoginEnd == EndUnknown
	if r.Version > 0 && r.Way == store.WayRefresh && r.Refused() && r.Spends().Fingerprint() != "" { // it is dead, whatever time it had left
		s.RefreshRefused = true
		s.RefreshExpiry, s.RefreshExpiryUncertain, s.RefreshExpiryUnknown = time.Time{}, false, false
	}
	s.Revoked, s.RevokeUnknown = r.Health.Revoked, r.RevokeUnknown()
	if r.Origin == store.OriginRefresh || r.Origin == store.OriginMint {
		s.LastRefresh = r.StoredAt
	}
	s.Failures, s.LastError, s.LastKind, s.LastFailure = r.Health.Failures, r.Health.LastError, r.Health.LastKind, r.Health.LastFailure
}

// WayName is how a record's account gets its next token: refresh, renew, login or
// mint.
func WayName(r store.Record) string {
	if r.Way == store.WayRefresh {
		return "refresh"
	}
	return string(r.Way)
}

// whose is whose login a record comes from, and the login of another person that
// waits beside it.
func whose(rec store.Record) (person string, waits *WaitingLogin) {
	if p := rec.GrantedTo.Person; p.Fingerprint != "" {
		person = p.String()
	}
	if c := rec.Candidate; c != nil {
		person = OwnerOf(rec).String()
		waits = &WaitingLogin{Person: c.GrantedTo.Person.String(), LoginAt: c.LoginAt, Ends: c.Ends()}
	}
	return person, waits
}

// PersonOf is whose login a record comes from, as people are told; "": the broker
// does not say.
func PersonOf(rec store.Record) string {
	person, _ := whose(rec)
	return person
}
