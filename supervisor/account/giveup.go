package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// An attempt whose outcome nobody knows holds back every other one, because what it
// may have used up is all that the account has. With a key that is not so; nor is it
// where its provider makes such attempts no more. Then it is given up in the end, and
// the account goes on in another way. What its broker has answered stays where it is.

// GiveUp is when that is, if it is not settled before; zero: never. Its attempt is
// Ambiguous.
func (s State) GiveUp(t Terms, now time.Time) time.Time {
	in, rec := s.Ambiguous(), s.Standing.of()
	switch {
	case in == nil:
		return time.Time{}
	case in.Kind == spool.KindMint:
		if rec.Key == "" { // its provider mints no more
			return now
		}
		return time.Time{}
	case s.Stored() && KindOf(rec.Way) != in.Kind: // its provider makes such attempts no more
		return now
	case !rec.CanMint():
		return time.Time{}
	case !s.Stored(), t.Over: // what would be sent again is not there, or is not to be sent
		return now
	}
	if at, _ := s.Replay(t, now); !at.IsZero() {
		return time.Time{}
	}
	if end := rec.Token.Expiry(); !end.IsZero() { // until then somebody may mend an answer that nobody could read
		return end.Add(-beforeDeath)
	}
	return now
}

func (s State) isGivenUp(t Terms, now time.Time) bool {
	at := s.GiveUp(t, now)
	return !at.IsZero() && !at.After(now)
}

// GivingUp is the record of an account whose attempt is given up: a refresh token of
// which nobody knows whether it is used up counts as refused where the key takes its
// place, so that it is not sent after a restart either.
func (s State) GivingUp() store.Record {
	rec := s.Standing.Record()
	rec.Health.Ambiguous = time.Time{}
	if in := s.Ambiguous(); in != nil && in.Kind != spool.KindMint && rec.CanMint() {
		return denied(rec, in.Kind, in.Fingerprint)
	}
	return rec
}
