package supervisor

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// A provider whose connection has broken is not ended before the longest of its
// attempts can be answered.
func TestAProviderIsLeftTimeToHearOutItsLongestAttempt(t *testing.T) {
	taking := func(d time.Duration) config.Account { return config.Account{Refresh: config.Refresh{Timeout: d}} }
	got := healthOf([]config.Account{taking(30 * time.Second), taking(5 * time.Minute), taking(time.Second)}).DrainGrace
	if want := 5*time.Minute + 5*time.Second; got != want {
		t.Errorf("it has %s, want %s", got, want)
	}
}
