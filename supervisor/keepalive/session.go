// Package keepalive keeps the sessions of one provider's accounts from dying of
// idleness. It makes the call that the provider's description asks for, and knows of
// each session what the last answers said.
//
// A beat is no attempt: nothing is announced, nothing is written to the disk, and
// its failure counts for nothing but itself. How a session is stands beside the
// account's state and not in it, because only the answer to an attempt can refuse a
// token; what a lost session means for the account is the [Accounts]' affair.
package keepalive

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Session is what is known of an account's session.
type Session struct {
	// Version of the token that it belongs to.
	Version uint64
	// Life is what the broker said last; "": nothing yet, since the token came or
	// the supervisor was started.
	Life sdk.Life
	// Since is when it said so first, Heard when last.
	Since, Heard time.Time
	// Failures are the beats in a row of which no answer came since Silent, and Error
	// is what became of the last one.
	Failures int
	Silent   time.Time
	Error    string
}

// Unheard says whether so many beats in a row had no answer that the session may be
// dying.
func (s Session) Unheard() bool { return s.Failures >= unheardAfter }

// unheardAfter is how many beats may be lost before a person is told: a session lives
// longer than for one.
const unheardAfter = 3

// answered is the session after an answer.
func (s Session) answered(life sdk.Life, now time.Time) Session {
	if s.Life != life {
		s.Life, s.Since = life, now
	}
	s.Heard = now
	s.Failures, s.Silent, s.Error = 0, time.Time{}, ""
	return s
}

// unanswered is the session after a beat without an answer.
func (s Session) unanswered(err error, now time.Time) Session {
	if s.Failures == 0 {
		s.Silent = now
	}
	s.Failures++
	s.Error = err.Error()
	return s
}

const (
	// soonest is the pause after a beat that had no answer, at least.
	soonest = time.Second
	// slowest is how rarely a session that is gone is looked at: it may have been
	// said by mistake, and a broker counts who comes with a dead token.
	slowest = 15 * time.Minute
)

// pause is how long after a beat the next one begins.
func (s Session) pause(every, retryAfter time.Duration, now time.Time) time.Duration {
	p := every
	switch {
	case s.Failures > 0 && !s.Unheard():
		p = max(every/4, soonest)
	case s.Failures == 0 && s.Life == sdk.Gone:
		p = max(every, min(now.Sub(s.Since), slowest)) // twice as long each time
	}
	return max(p, min(retryAfter, time.Hour))
}
