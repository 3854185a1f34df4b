package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// backBefore is how long before the end of what was sent a broker is back that took
// requests and did nothing with them.
var backBefore = []time.Duration{31 * s, time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute}

// It is asked once more before that, so that its silence costs no login.
func TestASilentBrokerOutlastsNoRefreshToken(t *testing.T) {
	const life = 40 * time.Minute
	for _, back := range backBefore {
		t.Run(back.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, 20*time.Minute, life, "one")
				dies := r.real().Add(life)
				r.broker.policyLife, r.broker.until = life, dies.Add(-back)
				g := r.start()
				time.Sleep(life)
				synctest.Wait()
				if st := r.status("one"); st.State != refresh.Valid || st.Record.Version != 2 || r.broker.refusals() > 0 {
					t.Errorf("%s at version %d, %d refusals of %d requests", st.State, st.Record.Version, r.broker.refusals(), r.broker.count())
				}
				_ = g.end()
			})
		})
	}
}

// So it is with an access token that renews itself.
func TestASilentBrokerOutlastsNoTokenThatRenewsItself(t *testing.T) {
	const life = 90 * time.Minute
	for _, back := range backBefore {
		t.Run(back.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRenewing(life)
				r := newRenewRig(t, b)
				b.until = b.dies.Add(-back)
				g := r.start()
				time.Sleep(life)
				synctest.Wait()
				if st := r.status("main"); st.State != refresh.Valid || st.Record.Version != 2 || b.refused > 0 {
					t.Errorf("%s at version %d, %d refused", st.State, st.Record.Version, b.refused)
				}
				_ = g.end()
			})
		})
	}
}
