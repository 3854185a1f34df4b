package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// What keeps an account from being refreshed ends in the last moment of a turn, whose
// lock is just given back: the account is planned as if nobody had been at work on it.
// And so is one that is held back just then.
func TestAChangeAtTheEndOfATurn(t *testing.T) {
	hold := &refresh.Hold{Reason: "it is another machine's"}
	for name, tt := range map[string]struct {
		before, meanwhile func(*rig)
		due               time.Duration // from the start; 0: never
	}{
		"a hold ends":           {func(r *rig) { r.keeper.Hold(hold) }, func(r *rig) { r.keeper.Hold(nil) }, 15 * time.Minute},
		"a hold begins":         {func(*rig) {}, func(r *rig) { r.keeper.Hold(hold) }, 0},
		"it is put off":         {func(*rig) {}, func(r *rig) { r.keeper.Postpone("one", r.wall().Add(time.Hour)) }, time.Hour + time.Minute},
		"it is put off no more": {func(r *rig) { r.keeper.Postpone("one", r.wall().Add(time.Hour)) }, func(r *rig) { r.keeper.Postpone("one", time.Time{}) }, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				r := newSharedRig(t)
				meanwhile := func() {}
				r.accounts[0].Shared = slowRelease{r.accounts[0].Shared, func() { meanwhile() }}
				r.restart()
				tt.before(r.rig)
				g := r.start()
				time.Sleep(time.Minute)
				synctest.Wait()
				done := make(chan struct{})
				meanwhile = func() {
					meanwhile = func() {}
					tt.meanwhile(r.rig)
					close(done)
				}
				r.keeper.Touch("one")
				<-done
				synctest.Wait()
				want := begun.Add(tt.due)
				if tt.due == 0 {
					want = time.Time{}
				}
				if s := r.status("one"); s.InFlight || !s.Due.Equal(want) {
					t.Errorf("in flight: %t, due %s, want %s", s.InFlight, s.Due, want)
				}
				_ = g.end()
			})
		})
	}
}

// The process is lost while an account settles what came late: the next one gives the
// account its turn.
func TestALostProcessTakesNobodyOutOfThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		disk := fullDisk{r.store, &faulty{}}
		r.store = disk
		r.restart()
		h := r.hangRefresh(fault{})
		if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one"); err != nil {
			t.Fatal(err)
		}
		disk.on.Store(true)
		h.answer()
		synctest.Wait()
		disk.on.Store(false)
		h.kill()
		_ = h.died()
		g := r.start()
		synctest.Wait()
		s := r.status("one")
		if want := s.Record.Token.Expiry().Add(-5 * time.Minute); !s.Due.Equal(want) || s.Record.Version != 2 || len(s.Record.Evidence) != 1 {
			t.Errorf("due %s, want %s; version %d, %d answers are kept", s.Due, want, s.Record.Version, len(s.Record.Evidence))
		}
		_ = g.end()
	})
}
