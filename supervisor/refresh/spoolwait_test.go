package refresh

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func TestSpoolPatience(t *testing.T) {
	const timeout = 30 * time.Second
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	begun := func(ago ...time.Duration) (open []store.Intent) {
		for _, d := range ago {
			open = append(open, store.Intent{At: now.Add(-d)})
		}
		return open
	}
	for name, tt := range map[string]struct {
		open []store.Intent
		want time.Duration
	}{
		"nothing is known":           {nil, timeout + spoolSlack},
		"just begun":                 {begun(0), timeout + spoolSlack},
		"begun 12 s ago":             {begun(12 * time.Second), 18*time.Second + spoolSlack},
		"the last of some counts":    {begun(time.Minute, 12*time.Second, 20*time.Second), 18*time.Second + spoolSlack},
		"over":                       {begun(time.Hour), spoolSlack},
		"the clock was set back":     {begun(-24 * time.Hour), timeout + spoolSlack},
		"the clock was set forward":  {begun(24 * time.Hour), spoolSlack},
		"an intent that has no time": {[]store.Intent{{}}, spoolSlack},
		"one of a far, far future":   {begun(-1 << 62), timeout + spoolSlack},
	} {
		if got := spoolPatience(tt.open, timeout, now); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
