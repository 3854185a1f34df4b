package refresh

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/limit"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// agenda is when each account has its next turn. It is under the Keeper's lock.
type agenda struct{ heap *schedule.Heap }

// planned is when an account has its next turn, and why no earlier one. It is under
// the Keeper's lock.
type planned struct {
	name   string
	agenda *agenda
	clock  *schedule.Clock
	// turn is its place in the heap, and pause why its next try was put off,
	// with what is known of that.
	turn      turn
	pause     promise.Reason
	pauseText string
	// promised is when it is tried again after a failure, at the earliest:
	// whatever plans the account anew keeps to that, as long as the record is the
	// same.
	promised promised
	// behind is when it would be due if no login were open, while it is put off for
	// that.
	behind time.Time
	// allowance is what its broker was asked of late, if that allows only so much.
	allowance allowance
	// interval between two refreshes, as counted in; see weigh.
	interval time.Duration
}

// allowance is what is known of the requests of an account.
type allowance struct {
	made  []limit.Made
	known bool // they were read from the store
	// behind is when it would be due without the limit, while it is put off for that.
	behind time.Time
}

// turn is when an account is to be looked at next.
type turn struct {
	planned bool
	at      schedule.Instant
}

// dueAt gives the account its turn.
func (p *planned) dueAt(due time.Time, now schedule.Instant) {
	p.turn = turn{true, p.agenda.heap.Set(p.name, due, now)}
}

// notDue takes its turn away.
func (p *planned) notDue() {
	p.agenda.heap.Remove(p.name)
	p.turn = turn{}
}

// due is when its turn is; ok is false if it has none.
func (p *planned) due() (at time.Time, ok bool) { return p.agenda.heap.Due(p.name) }

func (p *planned) isDue() bool {
	due, ok := p.due()
	return ok && !due.After(p.clock.Now().Wall)
}

// reached says whether the account's turn has come, which a jump of the clock
// may have brought nearer.
func (p *planned) reached(now schedule.Instant) bool {
	mono, held := p.agenda.heap.Mono(p.name)
	return held && mono <= now.Mono
}

// misplaced says what is wrong with what the heap holds of an account; "":
// nothing.
func (p *planned) misplaced(now schedule.Instant) string {
	mono, held, fault := p.agenda.heap.Place(p.name)
	switch {
	case p.turn.planned && !held:
		return "it was lost from the plan"
	case !p.turn.planned && held:
		return "it is in the plan and should not be"
	case held && mono > p.turn.at.Mono:
		return "it stands later in the plan than it is due"
	}
	return fault
}

// pauseFor notes why the account's next try is put off.
func (p *planned) pauseFor(r promise.Reason, text string) { p.pause, p.pauseText = r, text }

// promised is when an account is tried again after a failure, by the back-off or
// by the server's word (RFC 9110, 10.2.3), and of which record that was said.
type promised struct {
	at      time.Time
	reason  promise.Reason
	text    string
	version uint64
}

// promise notes the next try with the record of that version, and why it waits.
func (p *planned) promise(at time.Time, version uint64) {
	p.promised = promised{at: at, reason: p.pause, text: p.pauseText, version: version}
}

// promisedFor bounds how long a promise counts, in case the clock was set back.
const promisedFor = schedule.MaxRetryAfter

// kept is the moment before which nothing is tried again by itself; zero: there
// is none. It is kept by whatever plans the account anew, as the end of a hold
// does.
func (p *planned) kept(now time.Time, version uint64) promised {
	it := p.promised
	if it.version != version || !it.at.After(now) || it.at.After(now.Add(promisedFor)) {
		return promised{}
	}
	return it
}
