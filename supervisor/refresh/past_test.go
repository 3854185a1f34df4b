package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWholeGrantIsKeptWhereOthersSeeIt: an account whose tokens other programs
// see knows each one that it ever had, the others the newest.
func TestWholeGrantIsKeptWhereOthersSeeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "seen", "alone")
		r.accounts[0].WholeGrant = true
		r.restart()
		first := r.record("seen").Token.RefreshToken.Fingerprint()
		other := r.record("alone").Token.RefreshToken.Fingerprint()
		g := r.start()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if rec := r.record("seen"); rec.Version < 90 || !rec.Replaced(first) {
			t.Errorf("version %d does not know the first token", rec.Version)
		}
		if rec := r.record("alone"); rec.Replaced(other) || len(rec.Past) != 0 {
			t.Errorf("version %d keeps %d bytes of the past", rec.Version, len(rec.Past))
		}
		_ = g.end()
	})
}
