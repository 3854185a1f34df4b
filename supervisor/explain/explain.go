// Package explain says why there was, or is, no valid token of an account, from what the
// history holds. It is pure.
package explain

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// Question is what somebody wants to know.
type Question struct {
	Account string
	// At is the moment that it is about, Now that at which it is asked, in whose zone the
	// answer is.
	At, Now time.Time
	// Silent: no supervisor answers now; Answers: one does. Neither: that is not known.
	Silent, Answers bool
	// Observed is since when one answers that only observes; zero: none does. It keeps no
	// tokens, and no history.
	Observed time.Time
	// Cut: the newest part of the history can't be read.
	Cut bool
}

// Verdict is whether there was a valid token.
type Verdict string

const (
	Valid   Verdict = "valid"
	None    Verdict = "none"
	Unknown Verdict = "unknown"
)

// Explanation is the answer.
type Explanation struct {
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	Verdict Verdict   `json:"verdict"`
	// Version of the newest token by then, since when there was that, and until when it lives
	// or lived; not set: that is not known.
	Version    uint64    `json:"version,omitempty"`
	ValidFrom  time.Time `json:"valid_from,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	// GoesOnAs is the account whose name its login has by then.
	GoesOnAs string `json:"goes_on_as,omitempty"`
	// Again is when the next one came, if that is known.
	Again time.Time `json:"valid_again,omitzero"`
	// HistoryFrom is where what is known begins; not set: nothing is.
	HistoryFrom time.Time `json:"history_from,omitzero"`
	// Causes are what kept the next one from coming, the weightiest first.
	Causes     []Cause    `json:"causes"`
	Deliveries []Delivery `json:"deliveries"`
	// Sentences say all that to a person. The last one is what to do now, as is Todo.
	Sentences []string `json:"sentences"`
	Todo      string   `json:"todo"`
}

// Cause is one of them, however often it was met.
type Cause struct {
	Class string    `json:"class"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Over: it was over at To, without a new token.
	Over  bool `json:"over,omitempty"`
	Times int  `json:"times"`
	// MayBeMore: the history tells further ones later.
	MayBeMore bool   `json:"may_be_more,omitempty"`
	Message   string `json:"message"`
}

// Delivery is what a sink had by then.
type Delivery struct {
	Sink    string    `json:"sink"`
	Version uint64    `json:"version,omitempty"`
	At      time.Time `json:"delivered_at,omitzero"`
	// Error is why it did not have the newest; "": it had, or nobody knows.
	Error string `json:"error,omitempty"`
}

// Explain answers from the lines of the history, in their order.
func Explain(lines []history.Line, q Question) Explanation {
	then := tell(lines, q, q.At)
	e := Explanation{
		Account: q.Account, At: q.At.Truncate(time.Millisecond), Verdict: then.verdict(), Version: then.token.version, ValidFrom: then.token.from, ValidUntil: then.token.until,
		HistoryFrom: then.from, Causes: then.causes(), Deliveries: then.deliveries(),
	}
	if d := then.departed; d != nil && d.line.From != "" {
		e.GoesOnAs = d.line.Account
	}
	if l, ok := then.next(); ok {
		e.Again = l.Time
	}
	more := history.MayLack(lines, q.Account, event.RefreshFailed, q.At)
	for n := range e.Causes {
		e.Causes[n].MayBeMore = more && e.Causes[n].To.Equal(lastAttempt(then.met))
	}
	w := words{q: q, then: then, more: more}
	now := then
	if q.Now.After(q.At) {
		now = tell(lines, q, q.Now)
	}
	e.Sentences = w.say(e, now)
	e.Todo = e.Sentences[len(e.Sentences)-1]
	return e
}
