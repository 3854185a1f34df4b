// Package account is what an account is, written down once: its state, what can
// happen to it, and what becomes of it then. It is pure. supervisor/refresh does
// what it says, and tells it what happened; the room's README has all of it as a
// table, which is made from [Next].
//
// What holds, whatever happens in which order:
//   - There is one attempt at a time. A login stands over the one before it, and
//     gives it back as it was if it fails. That one may be under way all the while,
//     if it is no login: a code dies before it has ended.
//   - An attempt changes the standing only by its outcome.
//   - What was answered is never sent again.
//   - A refresh token, or a key, that the broker has refused is sent only if a person
//     insists.
package account

import (
	"errors"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrUnknown: the configuration has no account of that name.
var ErrUnknown = errors.New("no such account")

// State is all that decides about an account. The zero value is nobody's.
type State struct {
	Standing Standing
	Attempt  Attempt
}

// Standing is the token that an account has: [None], [Good], [Unproven] or
// [Refused].
type Standing interface {
	// Record is of version 0 if there is none; it may have a key, and a health.
	Record() store.Record
	// of is the record itself, which nobody changes.
	of() *store.Record
	name() string
}

type (
	// None: there was never a token.
	None struct{ record *store.Record }
	// Good: the broker gave it, or a person brought it.
	Good struct{ record *store.Record }
	// Unproven: it was found somewhere, and the broker has not seen it yet. What
	// it took the place of can be gone back to.
	Unproven struct {
		record *store.Record
		Before []store.Before
	}
	// Refused: the broker has refused the token, or of a minted one the key, that it
	// would send, or it has none and needs one.
	Refused struct{ record *store.Record }
)

func (s None) Record() store.Record     { return *s.of() }
func (s Good) Record() store.Record     { return *s.record }
func (s Unproven) Record() store.Record { return *s.record }
func (s Refused) Record() store.Record  { return *s.record }

func (s None) of() *store.Record {
	if s.record == nil {
		return &store.Record{}
	}
	return s.record
}
func (s Good) of() *store.Record     { return s.record }
func (s Unproven) of() *store.Record { return s.record }
func (s Refused) of() *store.Record  { return s.record }

func (None) name() string     { return "none" }
func (Good) name() string     { return "good" }
func (Unproven) name() string { return "unproven" }
func (Refused) name() string  { return "refused" }

// StandingOf is what a record says; one of version 0 is none.
func StandingOf(rec store.Record) Standing {
	switch before := rec.Unproven(rec.Token); {
	case rec.Version == 0:
		return None{&rec}
	case rec.Refused():
		return Refused{&rec}
	case len(before) > 0:
		return Unproven{&rec, before}
	}
	return Good{&rec}
}

// Record is that of the standing.
func (s State) Record() store.Record { return s.Standing.Record() }

// Stored says whether there is a record.
func (s State) Stored() bool {
	_, none := s.Standing.(None)
	return !none
}

// HasToken says whether t is the record's refresh token.
func (s State) HasToken(t sdk.Secret) bool { return t.Equal(s.Standing.of().Token.RefreshToken) }

// Expiry is that of the record's access token. Like HasToken it costs little where
// many accounts are looked at.
func (s State) Expiry() time.Time { return s.Standing.of().Token.Expiry() }

// Attempt is how the account's attempt stands: [Free], [Open], [Cut], [Unknown],
// [Answered] or [Unnoted].
type Attempt interface{ name() string }

type (
	// Free: none is announced.
	Free struct{}
	// Open: it is announced, and may be under way.
	Open struct {
		Intent store.Intent
		// Counted: its failure is among those in a row.
		Counted bool
		// Over is the attempt in whose place it stands until it succeeds; nil:
		// none.
		Over Attempt
	}
	// Cut: the process that made it is gone, or the store did not say whether it is
	// announced. What became of it is in the store and in the spool.
	Cut struct {
		// Of is Open, Answered or Unnoted; or Free or Unknown, if nobody could read
		// what is announced, or knows whether it is.
		Of Attempt
		// Again: at its turn the account compares, because a disk kept it from that,
		// or did not take an announcement. Otherwise the next generation does.
		Again bool
	}
	// Unknown: it was perhaps sent, and nobody knows what became of it.
	Unknown struct {
		Intent store.Intent
		// Elsewhere: it may be under way where nobody sees it; nil: it can't be.
		Elsewhere *Elsewhere
	}
	// Answered: it brought a token, which the store did not take. It is durable in
	// the spool.
	Answered struct {
		Open
		// Next is the version that it will be, which is served from memory; nil: it
		// can't be.
		Next *store.Record
	}
	// Unnoted: it has failed, and the store did not take that. The provider goes
	// on giving the same verdict.
	Unnoted struct{ Open }
)

func (Free) name() string { return "free" }
func (Open) name() string { return "open" }
func (c Cut) name() string {
	if c.Again {
		return "cut, to be compared again"
	}
	return "cut"
}
func (u Unknown) name() string {
	if u.Elsewhere != nil {
		return "unknown, perhaps elsewhere"
	}
	return "unknown"
}
func (Answered) name() string { return "answered" }
func (Unnoted) name() string  { return "unnoted" }

// Ambiguous is the intent of the attempt of which nobody knows whether it has
// used up the refresh token; nil: there is none. It stays that during its replay,
// and during a login.
func (s State) Ambiguous() *store.Intent { return ambiguous(s.Attempt) }

func ambiguous(a Attempt) *store.Intent {
	switch a := a.(type) {
	case Unknown:
		return marked(a.Intent)
	case Cut:
		return ambiguous(a.Of)
	}
	if o, ok := opened(a); ok && o.Over != nil {
		return ambiguous(o.Over)
	} else if ok {
		return marked(o.Intent)
	}
	return nil
}

// marked returns in if it is of an attempt, or the replay of one, that is known
// to be ambiguous.
func marked(in store.Intent) *store.Intent {
	if in.AmbiguousSince.IsZero() {
		return nil
	}
	return &in
}

// Elsewhere is the attempt that may be under way where nobody sees it; nil: there
// is none.
func (s State) Elsewhere() *Elsewhere {
	if u, ok := s.Attempt.(Unknown); ok {
		return u.Elsewhere
	}
	return nil
}

// Unfinished is the attempt whose outcome is known and not durable; ok is false if
// there is none.
func (s State) Unfinished() (in store.Intent, ok bool) {
	switch a := s.Attempt.(type) {
	case Answered:
		return a.Intent, true
	case Unnoted:
		return a.Intent, true
	}
	return store.Intent{}, false
}

// IsAnswered says whether a token waits for the store to take it.
func (s State) IsAnswered() bool {
	_, ok := uncut(s.Attempt).(Answered)
	return ok
}

// Held is the version that is served from memory; nil: none is.
func (s State) Held() *store.Record {
	if a, ok := uncut(s.Attempt).(Answered); ok {
		return a.Next
	}
	return nil
}

// Undecided says whether the token that an open attempt has sent was refused, and it
// is not noted yet that no other one is there.
func (s State) Undecided() bool {
	_, refused := s.Standing.(Refused)
	_, open := s.Attempt.(Open)
	return refused && open
}

// IsOpen says whether that attempt is announced, and nothing stands over it.
func (s State) IsOpen(attempt string) bool {
	o, ok := s.Attempt.(Open)
	return ok && o.Intent.Attempt == attempt
}

// Ends is the login that the announced attempt ends; "": none.
func (s State) Ends() string {
	o, _ := opened(uncut(s.Attempt))
	return o.Intent.Login
}

// Exchanges says whether a login is being ended.
func (s State) Exchanges() bool {
	o, ok := s.Attempt.(Open)
	return ok && spool.IsLogin(o.Intent.Kind)
}

// IsFree says whether no attempt is announced.
func (s State) IsFree() bool {
	_, free := s.Attempt.(Free)
	return free
}

// IsCut says whether only the next generation can go on.
func (s State) IsCut() bool {
	c, ok := s.Attempt.(Cut)
	return ok && !c.Again
}

// AtTurn is what the account would do at its turn, before anything is sent.
func (s State) AtTurn() Action {
	_, does, _ := s.due()
	return does
}

// IsCounted says whether its failure is among those in a row.
func (s State) IsCounted() bool {
	o, _ := opened(s.Attempt)
	return o.Counted
}

// opened returns the attempt that is announced, whatever is known of it.
func opened(a Attempt) (Open, bool) {
	switch a := a.(type) {
	case Open:
		return a, true
	case Answered:
		return a.Open, true
	case Unnoted:
		return a.Open, true
	}
	return Open{}, false
}

// refreshing is the refresh that is announced and has brought no token, also if the
// process is gone that made it.
func (s State) refreshing() (o Open, ok bool) {
	o, ok = opened(uncut(s.Attempt))
	_, answered := s.Attempt.(Answered)
	return o, ok && !answered && !spool.IsLogin(o.Intent.Kind) && s.Held() == nil
}

func uncut(a Attempt) Attempt {
	if c, ok := a.(Cut); ok {
		return c.Of
	}
	return a
}
