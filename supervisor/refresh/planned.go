package refresh

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/limit"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// agenda is when each account has its next turn. It is under the Keeper's lock.
type agenda struct {
	heap *schedule.Heap // by when they need one
	// wishes are those of them whose budget wants an earlier one. They give way to whoever
	// is due by heap, for as long as that is.
	wishes *schedule.Heap
}

func newAgenda() agenda { return agenda{schedule.NewHeap(), schedule.NewHeap()} }

// next returns the account whose turn is first and how long that is from now; a negative
// wait means overdue. ok is false if nobody has one.
func (g agenda) next(now schedule.Instant) (account string, wait time.Duration, ok bool) {
	account, wait, ok = g.heap.Next(now)
	wishes, early, wished := g.wishes.Next(now)
	if !wished || ok && (wait <= 0 || wait <= early) {
		return account, wait, ok
	}
	return wishes, early, true
}

// replan is [schedule.Heap.Replan].
func (g agenda) replan(now schedule.Instant) (moved int) {
	g.wishes.Replan(now)
	return g.heap.Replan(now)
}

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
	// interval between two refreshes, as counted in; see countNeed.
	interval time.Duration
}

// allowance is what is known of the requests of an account.
type allowance struct {
	made  []limit.Made
	known bool // they were read from the store
	// behind is when it would be due without the limit, while it is put off for that.
	behind time.Time
	// told is the newest request as of which it was told that the account is put off.
	told string
}

// turn is when an account is to be looked at next.
type turn struct {
	planned bool
	at      schedule.Instant
}

// dueAt gives the account its turn.
func (p *planned) dueAt(due time.Time, now schedule.Instant) {
	p.agenda.wishes.Remove(p.name)
	p.turn = turn{true, p.agenda.heap.Set(p.name, due, now)}
}

// wishedAt gives the account, which has its turn, an earlier one if nobody needs his then.
func (p *planned) wishedAt(early time.Time, now schedule.Instant) {
	p.agenda.wishes.Set(p.name, early, now)
}

// notDue takes its turn away.
func (p *planned) notDue() {
	p.agenda.heap.Remove(p.name)
	p.agenda.wishes.Remove(p.name)
	p.turn = turn{}
}

// due is when its turn is; ok is false if it has none.
func (p *planned) due() (at time.Time, ok bool) {
	if early, wished := p.agenda.wishes.Due(p.name); wished {
		return early, true
	}
	return p.agenda.heap.Due(p.name)
}

func (p *planned) isDue() bool {
	due, ok := p.due()
	return ok && !due.After(p.clock.Now().Wall)
}

// reached says whether the account's turn has come, which a jump of the clock
// may have brought nearer.
func (p *planned) reached(now schedule.Instant) bool {
	early, wished := p.agenda.wishes.Mono(p.name)
	mono, held := p.agenda.heap.Mono(p.name)
	return wished && early <= now.Mono || held && mono <= now.Mono
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
	case fault == "":
		_, _, fault = p.agenda.wishes.Place(p.name)
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
