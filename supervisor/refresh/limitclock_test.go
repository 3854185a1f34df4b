package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Requests that the store has in the future, because the clock was set back, count for
// an hour, once.
func TestLimitAfterTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimitRig(t, 8*time.Minute, sdk.Limits{RequestsPerHour: 2})
		g := r.start()
		time.Sleep(20 * time.Minute)
		r.jumpBy(-10 * time.Hour)
		g = r.anew(g)
		time.Sleep(30 * time.Minute)
		g = r.anew(g)
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if came := r.broker.came(); len(came) != 4 || mostInAnHour(came) != 2 {
			t.Errorf("%d requests, %d in the fullest hour: %v", len(came), mostInAnHour(came), came)
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}
