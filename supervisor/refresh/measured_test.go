package refresh_test

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What came of each attempt is counted, how long it took, and how late it began.
func TestAttemptsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.setTakes(2 * time.Second)
		r.broker.next("one", fault{refuse: &sdk.Error{Kind: sdk.KindTransient, Message: "503", HTTPStatus: 503}})
		g := r.start()
		defer func() { _ = g.end() }()
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err == nil {
			t.Error("the broker failed, and the refresh went well")
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		m := r.keeper.Measured()
		want := map[refresh.Outcome]uint64{{Act: "refresh", Result: "transient"}: 1, {Act: "refresh", Result: "ok"}: r.record("one").Version - 1}
		if !maps.Equal(m.Ended, want) {
			t.Errorf("ended: %v, want %v", m.Ended, want)
		}
		if n := m.Took.Count; n < 3 || n != uint64(r.broker.count()) || m.Late.Count < n {
			t.Errorf("%d took their time, %d were late, the broker was asked %d times", n, m.Late.Count, r.broker.count())
		}
		for i, bound := range m.Took.Bounds {
			if all := bound >= 2.5; all != (m.Took.Within[i] == m.Took.Count) {
				t.Errorf("%d of %d took %v s at most", m.Took.Within[i], m.Took.Count, bound)
			}
		}
		if m.Late.Within[0] != m.Late.Count || m.Late.Sum < 0 || m.Late.Sum > 1 {
			t.Errorf("late: %+v", m.Late)
		}
	})
}

// For a token that came long after its moment, as by an import, nobody was late before
// that.
func TestNobodyIsLateForATokenThatWasNotHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		g := r.start()
		defer func() { _ = g.end() }()
		old := r.broker.grant("one")
		old.IssuedAt = old.IssuedAt.Add(-3 * time.Hour)
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: old}, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if m := r.keeper.Measured(); m.Late.Count == 0 || m.Late.Sum > 1 {
			t.Errorf("late: %+v", m.Late)
		}
	})
}
