package outage

import (
	"math"
	"sync"
	"time"
)

// Watch keeps of each account the least budget of the last day, and since when it is
// short. Whoever reads a budget shows it; it begins anew with each start. It is safe for
// concurrent use.
type Watch struct {
	mu sync.Mutex
	of map[string]*watched
}

// NewWatch has seen nothing.
func NewWatch() *Watch { return &Watch{of: map[string]*watched{}} }

const (
	// span is the time that one of the lows is of, and spans are a day and the span that
	// has begun.
	span  = 3 * time.Hour
	spans = int(24*time.Hour/span) + 1
)

// watched is an account.
type watched struct {
	last Reading
	// steady: last was seen twice, and so is no moment between two deliveries.
	steady bool
	// short is since when the budget is, by a clock that stands still while the machine
	// sleeps; zero: it is not.
	short time.Time
	// lows are the least budgets, in seconds, of the spans up to newest.
	lows   [spans]int32
	newest int64
}

const none = math.MaxInt32

// Saw is told what the budget of an account is now, and returns since how long it is
// short; 0: it is not.
func (w *Watch) Saw(account string, r Reading, now time.Time) (short time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.of[account]
	if a == nil {
		a = &watched{newest: at(now)}
		for n := range a.lows {
			a.lows[n] = none
		}
		w.of[account] = a
	}
	a.saw(r, now)
	if !r.Short(now) {
		a.short = time.Time{}
		return 0
	}
	if a.short.IsZero() {
		a.short = time.Now()
	}
	return max(time.Since(a.short), 1)
}

// Worst is the least budget of the last day, as far as it was seen; ok is false if none
// was.
func (w *Watch) Worst(account string, now time.Time) (worst time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.of[account]
	if a == nil {
		return 0, false
	}
	a.turn(now)
	least := int32(none)
	for _, low := range a.lows {
		least = min(least, low)
	}
	if least == none {
		return 0, false
	}
	return time.Duration(least) * time.Second, true
}

// Keep forgets the accounts that there are no more.
func (w *Watch) Keep(is func(account string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.of {
		if !is(name) {
			delete(w.of, name)
		}
	}
}

// saw notes a reading. Between two of them the least was when the sink got its next
// token.
func (a *watched) saw(r Reading, now time.Time) {
	before := a.last
	a.last = r
	switch {
	case !r.Known():
		a.steady = false
	case r.Sink == before.Sink && r.Until.Equal(before.Until):
		a.steady = true
		a.note(r.Left(now), now)
	case a.steady && r.Sink == before.Sink && r.Until.After(before.Until):
		a.steady = false
		a.note(before.Left(r.Since), now)
	default:
		a.steady = false
	}
}

func (a *watched) note(left time.Duration, now time.Time) {
	a.turn(now)
	low := &a.lows[a.newest%int64(spans)]
	*low = int32(min(int64(*low), int64(left/time.Second)))
}

// turn empties the spans that have begun since. If the clock was set back it waits.
func (a *watched) turn(now time.Time) {
	until := at(now)
	for n := max(a.newest+1, until-int64(spans)+1); n <= until; n++ {
		a.lows[n%int64(spans)] = none
	}
	a.newest = max(a.newest, until)
}

// at is the number of a span.
func at(now time.Time) int64 { return max(0, now.Unix()/int64(span/time.Second)) }
