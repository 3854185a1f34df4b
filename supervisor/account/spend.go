package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// due is what an account does at its turn, before anything is sent.
func (s State) due() (State, Action, bool) {
	switch a := s.Attempt.(type) {
	case Answered, Unnoted:
		return s, Repeat, true
	case Cut:
		if a.Again {
			return s, Compare, true
		}
		return s, Wait, true
	case Free, Unknown:
		return s, Look, true
	}
	return s, Wait, false
}

// spend says whether what the account has may be sent: not while a login is open,
// unless a person insists or the token would die.
func (s State) spend(e Spend, now time.Time) (State, Action, bool) {
	next, does, ok := s.spendNow(e, now)
	if does == Announce && !e.Insisted && !s.HeldBy(e.Login, e.Terms, now).IsZero() {
		does = Await
	}
	return next, does, ok
}

// spendNow is spend where no login is open.
func (s State) spendNow(e Spend, now time.Time) (State, Action, bool) {
	switch a := s.Attempt.(type) {
	case Free:
		if s.mayBegin(s.Kind(e.Terms, now), e.Asked) {
			return s, Announce, true
		}
		return s, Wait, true
	case Unknown:
		switch at, _ := s.Replay(e.Terms, now); {
		case a.Elsewhere != nil && now.Before(a.Elsewhere.Until):
			return s, Wait, true
		case a.Elsewhere == nil && s.isGivenUp(e.Terms, now):
			return s, End, true
		case a.Elsewhere == nil && !s.makes(a.Intent):
			return s, Wait, true
		case !s.Stored() && a.Intent.Kind != spool.KindMint && !s.Standing.of().CanMint():
			return s, Wait, true
		case a.Elsewhere != nil && marked(a.Intent) == nil && s.harmless(e.Terms, a.Intent):
			return s, End, true
		case a.Elsewhere != nil, marked(a.Intent) == nil:
			return s, Mark, true
		case e.Insisted, !at.IsZero() && !at.After(now):
			return s, Announce, true
		}
		return s, Wait, true
	}
	return s, Wait, false
}

// beforeDeath is how long before an access token dies an open login holds up nothing
// any more, and beforeEnd before a refresh token does: with that goes the grant, and
// there must be time for a second attempt.
const (
	beforeDeath = time.Minute
	beforeEnd   = 5 * time.Minute
)

// HeldBy is until when an account announces nothing by itself because of a login
// that is open until then (zero: none is); zero: it is not held. What the login
// brings ends the grant, so an attempt on the way to it is spent for nothing, and may
// come in its way. A replay that counts on the time for which the server accepts a
// refresh token again can't wait, nor can a token of which nobody knows the age,
// because the clock was set back.
func (s State) HeldBy(login time.Time, t Terms, now time.Time) time.Time {
	rec := s.Standing.of()
	if login.IsZero() || rec.Token.Expiry().IsZero() || rec.Token.IssuedAt.After(now) || s.Ambiguous() != nil && t.Grace > 0 {
		return time.Time{}
	}
	until := moment.Earlier(login, rec.Token.Expiry().Add(-beforeDeath))
	if !rec.RefreshExpiry.IsZero() {
		until = moment.Earlier(until, rec.RefreshExpiry.Add(-beforeEnd))
	}
	if until.After(now) {
		return until
	}
	return time.Time{}
}
