package schedule

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Clock reads the wall clock and the monotonic clock together. The wall clock
// is a function, because a jump or a suspend can't be made otherwise in a
// test.
type Clock struct {
	wall  func() time.Time
	up    func() time.Duration
	start time.Time
}

// NewClock starts the monotonic clock at zero. Up is how long the machine has been up,
// its sleep included; nil: nobody knows, and the monotonic clock stands in.
func NewClock(wall func() time.Time, up func() time.Duration) *Clock {
	return &Clock{wall: wall, up: up, start: time.Now()}
}

// Now reads both clocks. Wall carries no monotonic reading, so that
// subtracting two of them is wall-clock arithmetic.
func (c *Clock) Now() Instant {
	now := Instant{Wall: c.wall().Round(0), Mono: time.Since(c.start)}
	if now.Up = now.Mono; c.up != nil {
		now.Up = c.up()
	}
	return now
}

// Drift is by how much the wall clock moved against the monotonic one between
// two instants: positive when it jumped ahead or the machine slept.
func Drift(from, to Instant) time.Duration {
	return moment.Minus(to.Wall.Sub(from.Wall), moment.Minus(to.Mono, from.Mono))
}
