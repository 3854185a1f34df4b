// Package promise says what it takes to keep every account's token alive, and
// why one that is past its due moment waits. Everything here is pure.
package promise

import (
	"fmt"
	"math"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// UsualAnswer is how long an answer of a token endpoint takes, as long as
// nobody has measured it.
const UsualAnswer = 500 * time.Millisecond

// Capacity is what the accounts of one provider need, beside what is possible.
type Capacity struct {
	// Accounts that are refreshed by themselves.
	Accounts int
	// Needed refreshes a second.
	Needed float64
	// Slots is how many may be in flight.
	Slots int
	// Answer is how long one is; not Measured: it is assumed.
	Answer   time.Duration
	Measured bool
}

// Interval is the time between two refreshes of a token that lives for life; 0:
// nobody knows it.
func Interval(p schedule.Policy, life time.Duration) time.Duration {
	if life <= 0 {
		return max(p.Every, 0)
	}
	if p.Budget > 0 {
		return min(p.Usual(life), p.Budget)
	}
	return p.Usual(life)
}

// Add counts an account in that is refreshed once in an interval; 0: nobody
// knows how often.
func (c *Capacity) Add(interval time.Duration) {
	if interval > 0 {
		c.Accounts++
		c.Needed += 1 / interval.Seconds()
	}
}

// Remove takes out what Add counted in.
func (c *Capacity) Remove(interval time.Duration) {
	if interval > 0 {
		c.Accounts--
		c.Needed = max(0, c.Needed-1/interval.Seconds())
	}
}

// Possible refreshes a second.
func (c Capacity) Possible() float64 {
	if c.Answer <= 0 {
		return math.Inf(1)
	}
	return float64(c.Slots) / c.Answer.Seconds()
}

// Enough says whether every account can have its turn in time.
func (c Capacity) Enough() bool { return c.Needed <= c.Possible() }

// SlotsNeeded is how many must be in flight, with a quarter to spare for
// failures and slow answers.
func (c Capacity) SlotsNeeded() int {
	return max(1, int(math.Ceil(c.Needed*c.Answer.Seconds()*1.25)))
}

// String says it to people.
func (c Capacity) String() string {
	how := "as assumed, because nobody has measured it"
	if c.Measured {
		how = "as measured"
	}
	return fmt.Sprintf("%d accounts need %s refreshes a second; with %d in flight and %s for an answer (%s), %s a second are possible",
		c.Accounts, Rate(c.Needed), c.Slots, c.Answer.Round(time.Millisecond), how, Rate(c.Possible()))
}

// Rate is a number of refreshes a second, for people.
func Rate(r float64) string {
	switch {
	case r >= 10:
		return fmt.Sprintf("%.0f", r)
	case r >= 0.1:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.2g", r)
}

// MostSlots is the most that max_in_flight can be.
const MostSlots = 1024

// Remedy is the setting to change, for the provider of that name.
func (c Capacity) Remedy(provider string) string {
	if n := c.SlotsNeeded(); n <= MostSlots {
		if n > c.Slots {
			return fmt.Sprintf("set providers.%s.max_in_flight to %d or more, as far as the broker allows it", provider, n)
		}
		return "see why answers take that long, or what fails: tokenkeeper status"
	}
	return fmt.Sprintf("%d is the most that providers.%s.max_in_flight can be: spread the accounts over several machines, or refresh more rarely (before_expiry, every)",
		MostSlots, provider)
}

// Pace is how long answers take, of late. The zero value has seen none.
type Pace struct{ mean time.Duration }

// Saw counts one answer in; newer ones weigh more.
func (p *Pace) Saw(took time.Duration) {
	if took = moment.Within(took, time.Millisecond, time.Hour); p.mean == 0 {
		p.mean = took
		return
	}
	p.mean += (took - p.mean) / 16
}

// Answer is how long one takes, and whether that was measured.
func (p *Pace) Answer() (time.Duration, bool) {
	if p.mean == 0 {
		return UsualAnswer, false
	}
	return p.mean, true
}
