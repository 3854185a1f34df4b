package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A token that is due long since waits while a better one is asked for, and no
// longer than it is postponed to.
func TestPostpone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		time.Sleep(time.Hour)
		r.keeper.Postpone("one", r.wall().Add(time.Minute))
		g := r.start()
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests before the time", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 1 {
			t.Errorf("%d requests after the time, want 1", n)
		}

		r.keeper.Postpone("one", r.wall().Add(24*time.Hour))
		time.Sleep(time.Hour)
		r.keeper.Postpone("one", time.Time{})
		synctest.Wait()
		if n := r.broker.count(); n != 2 {
			t.Errorf("%d requests when it is postponed no longer, want 2", n)
		}
		_ = g.end()
	})
}

// What takes the place of one version takes the place of no other.
func TestImportInPlaceOfOneVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		instead := store.Record{Account: "one", Version: 2, Token: r.broker.grant("one")}
		if rec, err := r.keeper.Import(t.Context(), instead, true); err != nil || rec.Version != 2 {
			t.Errorf("version %d, %v", rec.Version, err)
		}
		if _, err := r.keeper.Import(t.Context(), instead, true); !errors.Is(err, refresh.ErrHasToken) || r.record("one").Version != 2 {
			t.Errorf("version %d, %v: something else came meanwhile, and was replaced", r.record("one").Version, err)
		}
	})
}
