package refresh

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// crowdedFor is how long accounts may wait for room in flight before it is an
// overload: longer than a burst takes, as at a start.
const crowdedFor = 30 * time.Second

// namedWaiting is how many of those who wait are named.
const namedWaiting = 10

// load is how much there is to do, beside what is possible.
type load struct {
	needs promise.Capacity // Slots and Answer are filled in when it is asked
	pace  promise.Pace
	// crowded: since then, at every look, somebody who was due had no room in
	// flight. What a budget wants is no need, and does not count.
	crowded bool
	since   schedule.Instant
}

// Load is how the accounts stand to what may be in flight.
type Load struct {
	promise.Capacity
	// Serving: the loop runs; otherwise the rest says how it was.
	Serving bool
	// Overdue accounts need a refresh and are not in flight; Waiting names a few, the
	// longest first, and Longest is how long that one has been due.
	Overdue int
	Waiting []string
	Longest time.Duration
	// Since is when accounts began to wait for room; zero: none does.
	Since time.Time
}

// Overloaded says whether accounts have waited for room longer than they may.
func (l Load) Overloaded(now time.Time) bool {
	return !l.Since.IsZero() && l.Longest >= crowdedFor && now.Sub(l.Since) >= crowdedFor
}

// Load says how much there is to do. It looks at the accounts that are due, and
// at no others.
func (k *Keeper) Load() Load {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock.Now()
	l := Load{Capacity: k.load.needs, Serving: k.remote != nil, Overdue: k.heap.Overdue(now), Waiting: k.heap.Earliest(namedWaiting, now)}
	l.Slots = k.cfg.MaxInFlight
	l.Answer, l.Measured = k.load.pace.Answer()
	if _, wait, ok := k.heap.Next(now); ok && wait < 0 {
		l.Longest = -wait
	}
	if k.load.crowded {
		l.Since = k.load.since.Wall
		l.Longest = min(l.Longest, now.Mono-k.load.since.Mono)
	}
	return l
}

// crowd notes whether somebody is due for whom there is no room in flight. The
// caller holds k.mu.
func (l *load) crowd(on bool, now schedule.Instant) {
	if on && !l.crowded {
		l.since = now
	}
	l.crowded = on
}

// countNeed counts in how often the account is to be refreshed. The caller holds
// k.mu.
func (a *account) countNeed() {
	interval := time.Duration(0)
	if !a.isPaused() && a.stored() && !a.rec().NeedsLogin() {
		interval = promise.Interval(a.outlook().policy(), a.rec().Token.Lifetime)
	}
	if interval == a.plan.interval {
		return
	}
	a.keeper.load.needs.Remove(a.plan.interval)
	a.keeper.load.needs.Add(interval)
	a.plan.interval = interval
}
