package refresh

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A process may hear an answer out for as long as the attempt was given when it was
// announced, whatever the clock and the configuration say now.
func TestSpoolPatience(t *testing.T) {
	const timeout = 30 * time.Second
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one := func(ago, span time.Duration) store.Intent {
		return store.Intent{At: now.Add(-ago), Until: now.Add(-ago).Add(span)}
	}
	const usual = timeout + answerMargin
	over := one(time.Second, usual)
	over.Before = new(store.Intent)
	*over.Before = one(time.Minute, 4*time.Minute)
	for name, tt := range map[string]struct {
		open []store.Intent
		want time.Duration
	}{
		"nothing is known":                  {nil, usual},
		"just begun":                        {[]store.Intent{one(0, usual)}, usual},
		"begun by a clock that was behind":  {[]store.Intent{one(24*time.Hour, usual)}, usual},
		"begun by a clock that was ahead":   {[]store.Intent{one(-24*time.Hour, usual)}, usual},
		"an attempt could take longer then": {[]store.Intent{one(time.Second, usual), one(time.Second, 2*time.Minute)}, 2 * time.Minute},
		"and shorter":                       {[]store.Intent{one(time.Second, 10*time.Second)}, usual},
		"a login stands over a refresh":     {[]store.Intent{over}, 4 * time.Minute},
		"an older program's":                {[]store.Intent{{At: now}}, usual},
		"an intent that has no time":        {[]store.Intent{{}}, usual},
		"one without an end":                {[]store.Intent{one(0, 1<<62)}, longestSpan},
	} {
		if got := spoolPatience(tt.open, timeout); got != tt.want+spoolSlack {
			t.Errorf("%s: %s, want %s", name, got, tt.want+spoolSlack)
		}
	}
}
