// Package explain says why there was, or is, no valid token of an account, from what the
// history holds. It is pure.
package explain

import (
	"time"

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
	// Again is when the next one came, if that is known.
	Again time.Time `json:"valid_again,omitzero"`
	// HistoryFrom is where what is known begins; not set: nothing is.
	HistoryFrom time.Time `json:"history_from,omitzero"`
	// Causes are what kept the next one from coming, the weightiest first.
	Causes     []Cause    `json:"causes"`
	Deliveries []Delivery `json:"deliveries"`
	// Sentences say all that to a person. The last one is what to do now.
	Sentences []string `json:"sentences"`
}

// Cause is one of them, however often it was met.
type Cause struct {
	Class string    `json:"class"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Over: it was over at To, without a new token.
	Over    bool   `json:"over,omitempty"`
	Times   int    `json:"times"`
	Message string `json:"message"`
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
		Account: q.Account, At: q.At, Verdict: then.verdict(), Version: then.token.version, ValidFrom: then.token.from, ValidUntil: then.token.until,
		HistoryFrom: then.from, Causes: then.causes(), Deliveries: then.deliveries(),
	}
	if l, ok := then.next(); ok {
		e.Again = l.Time
	}
	w := words{q: q, then: then}
	now := then
	if q.Now.After(q.At) {
		now = tell(lines, q, q.Now)
	}
	e.Sentences = w.say(e, now)
	return e
}
