package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

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
// refresh token again can't wait.
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
