package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// beforeDeath is how long before a token dies an open login holds up nothing any
// more.
const beforeDeath = time.Minute

// HeldBy is until when an account announces nothing by itself because of a login
// that is open until then (zero: none is); zero: it is not held. What the login
// brings ends the grant, so an attempt on the way to it is spent for nothing, and may
// come in its way. A replay that counts on the time for which the server accepts a
// refresh token again can't wait.
func (s State) HeldBy(login time.Time, t Terms, now time.Time) time.Time {
	rec := s.Standing.of()
	if login.IsZero() || rec.Token.Expiry().IsZero() || s.Ambiguous() != nil && t.Grace > 0 {
		return time.Time{}
	}
	dies := moment.Earlier(rec.Token.Expiry(), rec.RefreshExpiry)
	if until := moment.Earlier(login, dies.Add(-beforeDeath)); until.After(now) {
		return until
	}
	return time.Time{}
}
