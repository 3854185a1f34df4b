// Package moment is the one place where times that come from outside are
// bounded, added and compared. Its arithmetic saturates: nothing that it
// returns has overflowed, whatever it is given.
//
// The zero time means "not known" and stays it: whatever is added to it, what
// comes out is not known either.
package moment

import (
	"math"
	"time"
)

// The sane range. A machine without a battery starts in 1970, and no token
// outlives the year 2200; between any two moments of the range lies a
// duration that a time.Duration can hold.
var (
	first = time.Unix(0, 0).UTC()
	last  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Sane says whether t lies where a moment that matters to a token can lie. The
// zero time does not.
func Sane(t time.Time) bool { return t.After(first) && t.Before(last) }

// Known is t if it is sane, and the zero time, which means "not known", if it
// is not.
func Known(t time.Time) time.Time {
	if !Sane(t) {
		return time.Time{}
	}
	return t
}

// Add is t plus d, not beyond the ends of the sane range; not known if t is
// not.
func Add(t time.Time, d time.Duration) time.Time {
	if !Sane(t) {
		return time.Time{}
	}
	switch sum := t.Add(d); {
	case d > 0 && !sum.Before(last):
		return last.Add(-1).In(t.Location())
	case d < 0 && !sum.After(first):
		return first.Add(1).In(t.Location())
	default:
		return sum
	}
}

// Plus is a plus b, not beyond what a duration can hold.
func Plus(a, b time.Duration) time.Duration {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

// Minus is a minus b, not beyond what a duration can hold.
func Minus(a, b time.Duration) time.Duration {
	if b == math.MinInt64 { // it has no opposite
		return Plus(Plus(a, math.MaxInt64), 1)
	}
	return Plus(a, -b)
}

// Within is d, or the end of the range from least to most that it lies beyond.
func Within(d, least, most time.Duration) time.Duration {
	return max(least, min(d, most))
}

// Earlier is the earlier of two moments, of which either may not be known.
func Earlier(t, u time.Time) time.Time {
	switch {
	case t.IsZero():
		return u
	case u.IsZero() || t.Before(u):
		return t
	default:
		return u
	}
}

// Later is the later of two moments.
func Later(t, u time.Time) time.Time {
	if t.After(u) {
		return t
	}
	return u
}
