package refresh_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Nobody looks at the clocks here, and no notice of a change comes: what an
// import brought is in the shared file all the same, and the account keeps its
// due time.
func TestAnImportIsInTheSharedFileAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		first := r.record("one")
		r.store = store.NewMemory()
		r.restart()
		g := r.start()
		time.Sleep(time.Minute)
		if err := os.Remove(r.path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		rec, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: first.Token}, false)
		if err != nil {
			t.Fatal(err)
		}
		due := rec.Token.Expiry().Add(-5 * time.Minute)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !r.inFile().RefreshToken.Equal(rec.Token.RefreshToken) {
			t.Error("the shared file does not hold the imported token")
		}
		if s := r.status("one"); s.Record.Version != 1 || s.InFlight || s.Due.Sub(due).Abs() > time.Second {
			t.Errorf("after the look: version %d, in flight %v, due %v and not %v", s.Record.Version, s.InFlight, s.Due, due)
		}
		_ = g.end()
	})
}

func TestALockThatIsHeldIsSeenWhileItIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		g := r.start()
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.keeper.Touch("one")
		time.Sleep(time.Second)
		synctest.Wait()
		if s := r.status("one"); !s.InFlight || s.Waiting != promise.LockHeld || s.WaitingText == "" || s.WaitingText == promise.LockHeld.Text() {
			t.Errorf("while it waits for the lock: in flight %v, %q: %s", s.InFlight, s.Waiting, s.WaitingText)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := r.status("one"); s.InFlight || s.Waiting != promise.None {
			t.Errorf("with the lock: in flight %v, %q: %s", s.InFlight, s.Waiting, s.WaitingText)
		}
		_ = g.end()
	})
}
