package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// An account that was renamed goes on at once, in a loop that runs: an attempt of which
// nobody knows the outcome is tried again with the same refresh token, and the chain goes on.
func TestMoveIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "old")
		sent := r.status("old").Record.Token.RefreshToken.Reveal()
		r.broker.next("old", fault{refuse: sdk.ErrAmbiguous})
		g := r.start()
		marked := false
		for range 3600 {
			if in, stands, err := r.store.Intent(t.Context(), "old"); err == nil && stands && in.IsMarked() {
				marked = true
				break
			}
			time.Sleep(time.Second)
		}
		if err := g.end(); err != nil || !marked {
			t.Fatalf("marked: %t, %v", marked, err)
		}
		r.accounts = []refresh.Account{{Account: sdk.Account{Name: "new"}, Timeout: 30 * time.Second, MaxFailures: 5}}
		r.restart()
		r.broker.mu.Lock()
		r.broker.current["new"] = r.broker.current["old"]
		delete(r.broker.current, "old")
		r.broker.mu.Unlock()
		g = r.start()
		time.Sleep(time.Second)
		asked := 0
		rec, err := r.keeper.MoveIn(t.Context(), "new", "old", func() error { asked++; return nil })
		if err != nil || rec.Account != "new" || rec.Version != 1 || asked != 1 {
			t.Fatalf("%+v, %v, asked %d times", rec, err, asked)
		}
		if st, _ := r.keeper.Status("new"); st.AmbiguousSince.IsZero() || st.Version != 1 {
			t.Errorf("what nobody knows is forgotten: %+v", st.Shown)
		}
		time.Sleep(time.Hour)
		if now := r.status("new").Record; now.Version < 3 || now.Grant != 1 || now.Health.Failures > 0 {
			t.Errorf("version %d of grant %d, %+v", now.Version, now.Grant, now.Health)
		}
		if r.broker.posts[sent] != 2 || r.broker.refused > 0 {
			t.Errorf("it was sent %d times, and %d were refused", r.broker.posts[sent], r.broker.refused)
		}
		if _, err := r.keeper.MoveIn(t.Context(), "new", "old", func() error { return nil }); err == nil {
			t.Error("it was moved twice")
		}
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
}
