package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// TestHoldSendsNothing: while refresh tokens are withheld nothing is sent,
// however long it is due and whoever asks; a login there is refreshed, and the
// end of the hold makes up for the rest.
func TestHoldSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		time.Sleep(time.Hour)
		hold := refresh.Hold{Reason: "it is another machine's: tokenkeeper adopt"}
		r.keeper.Hold(&hold)
		g := r.start()
		time.Sleep(24 * time.Hour)
		r.keeper.Look()
		synctest.Wait()
		if _, err := r.keeper.Refresh(t.Context(), "one", true); !errors.Is(err, refresh.ErrWithheld) || !strings.Contains(err.Error(), hold.Reason) {
			t.Errorf("a person asks for a refresh: %v", err)
		}
		if n := r.broker.count(); n != 0 {
			t.Fatalf("%d requests during the hold", n)
		}
		if s, _ := r.keeper.Status("one"); s.Withheld != hold.Reason || !s.Due.IsZero() {
			t.Errorf("status: withheld %q, due %s", s.Withheld, s.Due)
		}

		state := r.beginLogin("one")
		rec, err := r.keeper.CompleteLogin(t.Context(), "one", state, "code-one")
		if err != nil {
			t.Fatalf("a login during the hold: %v", err)
		}
		sent := r.broker.count()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if n := r.broker.count(); n != sent {
			t.Errorf("%d requests before the login was told", n-sent)
		}
		hold.Logins = map[string]time.Time{"one": rec.LoginAt}
		told := hold
		r.keeper.Hold(&told)
		synctest.Wait()
		if one, two := r.record("one").Version, r.record("two").Version; one != rec.Version+1 || two != 1 {
			t.Errorf("after the login: versions %d and %d, want %d and 1", one, two, rec.Version+1)
		}

		r.keeper.Hold(nil)
		synctest.Wait()
		if v := r.record("two").Version; v != 2 {
			t.Errorf("after the hold: version %d, want 2", v)
		}
		if s, _ := r.keeper.Status("two"); s.Withheld != "" {
			t.Errorf("after the hold: withheld %q", s.Withheld)
		}
		_ = g.end()
	})
}
