package process

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// BackoffPolicy is how long a member waits before it starts a process that
// died, and from when deaths count as a crash loop. Zero fields take the
// defaults.
type BackoffPolicy struct {
	// Min is the first wait, which doubles with every crash up to Max;
	// defaults: 0.5 s and 2 min. Up to a quarter is added at random.
	Min, Max time.Duration
	// Crashes within Window are a crash loop; defaults: 5 and 2 min.
	Crashes int
	Window  time.Duration
}

func (p BackoffPolicy) withDefaults() BackoffPolicy {
	return BackoffPolicy{
		Min:     cmp.Or(p.Min, 500*time.Millisecond),
		Max:     cmp.Or(p.Max, 2*time.Minute),
		Crashes: cmp.Or(p.Crashes, 5),
		Window:  cmp.Or(p.Window, 2*time.Minute),
	}
}

// backoff counts the crashes since the plugin was last healthy.
type backoff struct {
	policy  BackoffPolicy
	wait    time.Duration
	history []time.Time // crashes within the window, oldest first
}

// crashed notes a crash. It returns the wait before the next start, and
// whether the crashes are a loop.
func (b *backoff) crashed(now time.Time) (wait time.Duration, loops bool) {
	b.wait = min(max(2*b.wait, b.policy.Min), b.policy.Max)
	kept := b.history[:0]
	for _, t := range b.history {
		if now.Sub(t) < b.policy.Window {
			kept = append(kept, t)
		}
	}
	b.history = append(kept, now)
	jitter := time.Duration(rand.Int64N(int64(b.wait)/4 + 1))
	return min(b.wait+jitter, b.policy.Max), len(b.history) >= b.policy.Crashes
}

// reset is for a plugin that has proved healthy.
func (b *backoff) reset() { b.wait, b.history = 0, nil }
