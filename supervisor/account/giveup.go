package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// An attempt whose outcome nobody knows holds back every other one, because what it
// may have used up is all that the account has. With a key that is not so; nor is it
// where its provider makes such attempts no more. Then it is given up in the end, and
// the account goes on in another way. What its broker has answered stays where it is.

// GiveUp is when that is, if it is not settled before; zero: never. It is never before
// the moment after which no answer can come, because what takes its place might end the
// token that such an answer brings. Its attempt is Ambiguous.
func (s State) GiveUp(t Terms, now time.Time) time.Time {
	in, rec := s.Ambiguous(), s.Standing.of()
	if in == nil {
		return time.Time{}
	}
	o := sendsOf(*in)
	silent := o.last
	if !o.unread {
		silent = silent.Add(t.Timeout)
	}
	switch {
	case !s.makes(*in):
		return silent
	case in.Kind == spool.KindMint, !rec.CanMint():
		return time.Time{}
	case !s.Stored(): // what would be sent again is not there
		return silent
	case t.Over: // it is not worth much: but a replay may still bring a better one
		return moment.Later(silent, moment.Earlier(s.needed(), o.first.Add(t.Grace)))
	}
	if at, _ := s.Replay(t, now); !at.IsZero() && !o.unread {
		return time.Time{}
	}
	return moment.Later(silent, s.needed()) // until then somebody may mend an answer that nobody could read
}

// makes says whether the account's provider still makes attempts of that kind.
func (s State) makes(in store.Intent) bool {
	rec := s.Standing.of()
	if in.Kind == spool.KindMint {
		return rec.Key != ""
	}
	return !s.Stored() || KindOf(rec.Way) == in.Kind
}

// needed is when consumers need another token; zero: nobody knows.
func (s State) needed() time.Time {
	if end := s.Standing.of().Token.Expiry(); !end.IsZero() {
		return end.Add(-beforeDeath)
	}
	return time.Time{}
}

func (s State) isGivenUp(t Terms, now time.Time) bool {
	at := s.GiveUp(t, now)
	return !at.IsZero() && !at.After(now)
}

// GivingUp is the record of an account whose attempt is given up: what it has sent, and
// nobody knows whether it is used up, counts as refused, so that it is not sent after a
// restart either, nor where its provider makes such attempts again.
func (s State) GivingUp() store.Record {
	rec := s.Standing.Record()
	rec.Health.Ambiguous = time.Time{}
	if in := s.Ambiguous(); in != nil && in.Kind != spool.KindMint {
		rec.Health.NeedsLogin = in.Fingerprint
	}
	return rec
}
