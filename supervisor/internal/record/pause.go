package record

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Pause is a person's word that nothing is asked of an account's broker before he, or
// another one, says so. It rests on no record: an account without a token has it too,
// and one that the configuration does not name any more.
type Pause struct {
	// Since it holds, by the word of By. Until is when it is over by itself; zero: never.
	Since time.Time    `json:"since"`
	Until time.Time    `json:"until,omitzero"`
	By    event.Caller `json:"by"`
	// Reason in the person's words; "": he gave none.
	Reason string `json:"reason,omitempty"`
}

// Holds says whether it is not over yet.
func (p Pause) Holds(now time.Time) bool { return p.Until.IsZero() || now.Before(p.Until) }

// Again is a pause in whose time a person says once more that he wants one: it goes on,
// and ends when he says now. Of the reason, what he has said before stays if he says
// nothing.
func (p Pause) Again(said Pause) Pause {
	p.Until = said.Until
	if said.Reason != "" {
		p.Reason = said.Reason
	}
	return p
}

// Same says whether both are one pause, or none (nil).
func (p *Pause) Same(q *Pause) bool {
	if p == nil || q == nil {
		return p == q
	}
	a, b := p.Dated(), q.Dated()
	return a.Since.Equal(b.Since) && a.Until.Equal(b.Until) && a.By == b.By && a.Reason == b.Reason
}

// Dated is the same with times that can be stored.
func (p Pause) Dated() Pause {
	p.Since, p.Until = utc(p.Since), utc(p.Until)
	return p
}
