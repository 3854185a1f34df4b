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
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Session is what is known of an account's session.
type Session struct {
	// Version of the token that it belongs to.
	Version uint64 `json:"-"`
	// Life is what the broker said last: alive, competing (another login has taken it)
	// or gone; "": nothing yet, since the token came or the supervisor was started.
	Life sdk.Life `json:"life,omitempty"`
	// Since is when it said so first, Heard when last.
	Since time.Time `json:"since,omitzero"`
	Heard time.Time `json:"heard,omitzero"`
	// Failures are the beats in a row of which no answer came since Silent, and
	// LastError is what became of the last one.
	Failures  int       `json:"failures,omitempty"`
	Silent    time.Time `json:"silent,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	// Unheard is why the session may be dying, because for longer than it should be
	// nothing was heard of it; "": it was. Late: because its beats come late, of which
	// each had an answer.
	Unheard string `json:"unheard,omitempty"`
	Late    bool   `json:"-"`
}

// unheardAfter is for how many cadences nothing may be heard before a person is told:
// a session lives longer than for one.
const unheardAfter = 2

// answered is the session after an answer, to a beat that came so late.
func (s Session) answered(life sdk.Life, late, every time.Duration, now time.Time) Session {
	if s.Life != life {
		s.Life, s.Since = life, now
	}
	s.Heard = now
	s.Failures, s.Silent, s.LastError, s.Unheard, s.Late = 0, time.Time{}, "", "", false
	if late > unheardAfter*every {
		s.Late, s.Unheard = true, fmt.Sprintf("its calls come %s late, because there are more sessions than can be asked in time", late.Round(time.Second))
	}
	return s
}

// unanswered is the session after a beat without an answer.
func (s Session) unanswered(err error, every time.Duration, now time.Time) Session {
	if s.Failures == 0 || now.Before(s.Silent) {
		s.Silent = now
	}
	s.Failures++
	s.LastError = err.Error()
	if now.Sub(s.Silent) >= unheardAfter*every {
		s.Unheard, s.Late = s.LastError, false
	}
	return s
}

// slowest is how rarely a session that is gone is looked at: it may have been said by
// mistake, and a broker counts who comes with a dead token.
const slowest = 15 * time.Minute

// spared says whether the session is looked at that rarely.
func (s Session) spared() bool { return s.Life == sdk.Gone }

// pause is how long after a beat the next one begins.
func (s Session) pause(every time.Duration, now time.Time) time.Duration {
	switch {
	case s.spared():
		return max(every, min(now.Sub(s.Since), slowest)) // twice as long each time
	case s.Failures > 0 && s.Unheard == "":
		return max(every/4, sdk.LeastKeepalive)
	}
	return every
}
