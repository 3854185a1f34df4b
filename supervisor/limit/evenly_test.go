package limit

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Requests that are so far apart wait for none of those before, and any nearer would.
func TestEvenly(t *testing.T) {
	for _, perHour := range []int{1, 2, 3, 10} {
		r := Rule{Limits: sdk.Limits{RequestsPerHour: perHour}, Slack: 35 * time.Second}
		for nearer, waits := range map[time.Duration]bool{0: false, time.Second: true} {
			var made []Made
			now, waited := noon, false
			for range 3 * perHour {
				waited = waited || r.Next(made, Ask{}, now).Wait > 0
				made = r.With(made, Made{At: now})
				now += r.Evenly() + time.Nanosecond - nearer
			}
			if waited != waits {
				t.Errorf("%d an hour, %s apart: waited %t", perHour, r.Evenly()-nearer, waited)
			}
		}
	}
	if got := (Rule{}).Evenly(); got != 0 {
		t.Errorf("without a limit %s", got)
	}
}
