package moment_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func TestSane(t *testing.T) {
	for _, tt := range []struct {
		at   time.Time
		sane bool
	}{
		{time.Time{}, false},
		{time.Time{}.Add(-20 * time.Minute), false},
		{time.Unix(0, 0), false}, // what "no time" looks like in many files
		{time.Unix(1, 0), true},
		{time.Unix(-1, 0), false},
		{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), true},
		{time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{time.Unix(math.MaxInt64, 0), false},
		{time.Unix(math.MinInt64, 0), false},
	} {
		if got := moment.Sane(tt.at); got != tt.sane {
			t.Errorf("Sane(%v) = %t", tt.at, got)
		}
		if got := moment.Known(tt.at); tt.sane != got.Equal(tt.at) && !tt.at.IsZero() || !tt.sane && !got.IsZero() {
			t.Errorf("Known(%v) = %v", tt.at, got)
		}
	}
}

// anyTime gives ordinary times, and those that overflow in arithmetic.
func anyTime(t *rapid.T, label string) time.Time {
	return rapid.OneOf(
		rapid.Just(time.Time{}),
		rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64().Draw(t, "s"), 0) }),
		rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), 0) }),
	).Draw(t, label)
}

func anyDuration(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64})).Draw(t, label))
}

func TestAddStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, d := anyTime(t, "at"), anyDuration(t, "d")
		got := moment.Add(at, d)
		switch {
		case !moment.Sane(at):
			if !got.IsZero() {
				t.Fatalf("%v, which is not known, plus %s is %v", at, d, got)
			}
		case !moment.Sane(got):
			t.Fatalf("%v plus %s is %v", at, d, got)
		case d > 0 && got.Before(at) || d < 0 && got.After(at):
			t.Fatalf("%v plus %s is %v", at, d, got)
		case moment.Sane(at.Add(d)) && !got.Equal(at.Add(d)):
			t.Fatalf("%v plus %s is %v", at, d, got)
		}
	})
}

func TestDurationsSaturate(t *testing.T) {
	clamped := func(i *big.Int) time.Duration {
		switch {
		case i.Cmp(big.NewInt(math.MaxInt64)) > 0:
			return math.MaxInt64
		case i.Cmp(big.NewInt(math.MinInt64)) < 0:
			return math.MinInt64
		}
		return time.Duration(i.Int64())
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyDuration(t, "a"), anyDuration(t, "b")
		x, y := big.NewInt(int64(a)), big.NewInt(int64(b))
		if got, want := moment.Plus(a, b), clamped(new(big.Int).Add(x, y)); got != want {
			t.Fatalf("%d + %d = %d, want %d", a, b, got, want)
		}
		if got, want := moment.Minus(a, b), clamped(new(big.Int).Sub(x, y)); got != want {
			t.Fatalf("%d - %d = %d, want %d", a, b, got, want)
		}
	})
}

func TestEarlier(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, tt := range []struct{ a, b, want time.Time }{
		{early, late, early}, {late, early, early}, {time.Time{}, late, late}, {late, time.Time{}, late}, {},
	} {
		if got := moment.Earlier(tt.a, tt.b); !got.Equal(tt.want) {
			t.Errorf("Earlier(%v, %v) = %v", tt.a, tt.b, got)
		}
	}
}
