// Package outage says for how long the consumers of an account go on if no token comes
// any more from now on: until the first of the access tokens that they have is over. That
// is the account's outage budget.
package outage

import (
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Reading is how it is at a moment. The zero value: nobody knows.
type Reading struct {
	// Until is when the first of its consumers is without a token that lives.
	Until time.Time
	// Sink is where that one is; "": none takes the account's tokens, or none that is
	// there. Since is when the sink got what it has.
	Sink  string
	Since time.Time
	// Behind: the sink has an older one than the account's newest.
	Behind bool
	// Planned is the least that is left as long as every token comes as it is planned;
	// 0: nobody plans the next one.
	Planned time.Duration
}

// Known says whether anybody knows.
func (r Reading) Known() bool { return !r.Until.IsZero() }

// Left is what is left at a moment; 0: a consumer has none that lives.
func (r Reading) Left(now time.Time) time.Duration { return max(0, r.Until.Sub(now)) }

// enough is the part of what is planned that ordinary life leaves: a few tries that fail,
// slow answers and slow deliveries take no more than the rest.
const enough = 2

// Short says whether less is left than ordinary life leaves.
func (r Reading) Short(now time.Time) bool {
	return r.Known() && r.Planned > 0 && r.Left(now) < r.Planned/enough
}

// Held is what a sink has of the account.
type Held struct {
	Sink string
	sink.Status
}

// Read is the budget of an account: by what each sink has that is there, and by the token
// itself where none is. One that had nothing yet counts once a delivery has failed.
func Read(k refresh.Status, held []Held) Reading {
	rec := k.Record
	own := rec.Token.Expiry()
	if rec.Version == 0 || rec.Token.AccessToken.IsZero() || own.IsZero() {
		return Reading{}
	}
	r := Reading{Planned: k.Planned, Since: rec.StoredAt}
	for _, h := range held {
		until := h.Expiry
		switch {
		case h.Absent || h.Disabled, h.Version == 0 && h.Failures == 0:
			continue
		case h.Version == 0:
			until = rec.StoredAt
		case h.Version >= rec.Version:
			until = own
		case until.IsZero(): // an older program has noted it
			return Reading{}
		case k.OldAccessDies:
			until = moment.Earlier(until, rec.StoredAt)
		}
		if r.Until.IsZero() || until.Before(r.Until) {
			r.Until, r.Sink, r.Since, r.Behind = until, h.Sink, h.DeliveredAt, h.Version < rec.Version
		}
	}
	if r.Until.IsZero() {
		r.Until = own
	}
	return r
}

// Reader reads the budgets of those who are there.
type Reader struct {
	there *roster.Present
	sinks []string
}

// NewReader reads those of one [roster.Present].
func NewReader(there *roster.Present) Reader {
	return Reader{there, slices.Sorted(maps.Keys(there.Workers))}
}

// Of is the budget of an account, of which its Keeper knows k.
func (r Reader) Of(account string, k refresh.Status) Reading {
	var held []Held
	for _, name := range r.sinks {
		if w := r.there.Workers[name]; w.Takes(account) {
			held = append(held, Held{name, w.Status(account)})
		}
	}
	return Read(k, held)
}
