package sink

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPauseStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := RetryPolicy{
			Attempts:    rapid.IntRange(1, 10).Draw(t, "attempts"),
			Interval:    time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "interval")),
			MaxInterval: time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "max")),
		}.withDefaults()
		failures := rapid.IntRange(1, 1_000_000).Draw(t, "failures")
		jitter := rapid.Float64Range(0, 0.999).Draw(t, "jitter")
		d := p.pause(failures, jitter)
		if d > p.MaxInterval || d < p.Interval*4/5 {
			t.Fatalf("a pause of %s after %d failures under %+v", d, failures, p)
		}
		if failures < p.Attempts && d != p.Interval {
			t.Fatalf("a regular attempt waits %s, want %s", d, p.Interval)
		}
	})
}

func TestAsked(t *testing.T) {
	busy := errors.New("busy")
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{busy, 0},
		{&RetryAfterError{After: -time.Second, Err: busy}, 0},
		{&RetryAfterError{After: time.Second, Err: busy}, time.Second},
		{fmt.Errorf("x: %w", &RetryAfterError{After: 100 * time.Hour, Err: busy}), time.Hour},
	} {
		if got, ok := asked(c.err); got != c.want || ok != (c.want > 0) {
			t.Errorf("%v asks for %s, %v", c.err, got, ok)
		}
	}
}

func TestLoud(t *testing.T) {
	p := RetryPolicy{}.withDefaults()
	n := 0
	for i := 1; i <= 10_000; i++ {
		if p.loud(i) {
			n++
		}
	}
	if n > 20 || !p.loud(1) || !p.loud(3) {
		t.Errorf("%d of 10,000 failures are logged as warnings", n)
	}
}
