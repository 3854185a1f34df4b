package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// takingTurns is a shared file whose lock is always held, by another program
// each time.
type takingTurns struct{ sharing.File }

func (takingTurns) Lock(context.Context) (func() error, error) {
	time.Sleep(30 * time.Second)
	return nil, &sharedfile.HeldError{Path: "lock", Since: time.Now().Add(-20 * time.Second), Age: 20 * time.Second}
}

// Programs that hold the lock one after the other keep an account from its
// refresh as one does that hangs: people are told.
func TestALockThatIsNeverFreeIsToldWhoeverHoldsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.accounts[0].Shared = takingTurns{r.accounts[0].Shared}
		r.restart()
		defer r.watch()()
		g := r.start()
		time.Sleep(18 * time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.Shut == "" || !r.nudged() {
			t.Errorf("shut %q, or nobody looks", s.Shut)
		}
		_ = g.end()
	})
}
