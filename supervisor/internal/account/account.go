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
//     insists; so is whatever a paused account would send.
package account

import (
	"errors"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrUnknown: the configuration has no account of that name.
var ErrUnknown = errors.New("no such account")

// State is all that decides about an account. The zero value is nobody's.
type State struct {
	Standing
	Attempt
	Course Course
}

// At is the account at a moment, by the terms that hold for it then.
func (s State) At(t Terms, now time.Time) Turn { return Turn{s, t, now} }

// Undecided says whether the token that an open attempt has sent was refused, and it
// is not noted yet that no other one is there.
func (s State) Undecided() bool {
	_, refused := s.Standing.(Refused)
	_, open := s.Stage.(Open)
	return refused && open
}

// GivingUp is the record of an account whose attempt is given up: what it has sent, and
// nobody knows whether it is used up, counts as refused, so that it is not sent after a
// restart either, nor where its provider makes such attempts again.
func (s State) GivingUp() store.Record {
	rec := s.Record()
	rec.Health.Ambiguous = time.Time{}
	if in := s.Ambiguous(); in != nil && in.Kind != spool.KindMint {
		rec.Health.NeedsLogin = in.Fingerprint
	}
	return rec
}
