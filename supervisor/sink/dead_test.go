package sink_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// An access token that is dead is given to nobody: not at the start, where it is
// about to be replaced, not when the broker gave it so, and not when a person
// wants it delivered once more. The living one that follows goes out.
func TestDeadTokenIsGivenToNobody(t *testing.T) {
	for name, life := range map[string]time.Duration{
		"dead before it came": -5 * time.Second,
		"expired meanwhile":   30 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out, r := &receiver{}, newRecords()
				r.next("a")
				r.set(func(r *records) {
					rec := r.recs["a"]
					rec.Token.Lifetime = life
					r.recs["a"] = rec
				})
				time.Sleep(time.Hour)
				b := start(t, sink.WorkerConfig{Sink: out, Accounts: []string{"a"}}, r)
				pass(time.Minute)
				_, _ = b.Redeliver(t.Context(), "a")
				pass(time.Minute)
				if got := out.versions("a"); got != nil {
					t.Errorf("versions %v arrived", got)
				}
				// The sink lacks it, and can do nothing about that.
				if s := b.Summary(); s.Behind != 1 || s.UpToDate != 0 || s.Lag != 0 || s.LagAtLeast || s.Failing != 0 || b.Miscounted() {
					t.Errorf("summary %+v", s)
				}
				b.refresh("a")
				if s := b.Summary(); s.Behind != 1 || s.Lag > time.Second {
					t.Errorf("with the next version: %+v", s)
				}
				pass(time.Second)
				if s := b.Summary(); s.Behind != 0 || s.UpToDate != 1 {
					t.Errorf("after the next version: %+v", s)
				}
				if got := out.versions("a"); !slices.Equal(got, []uint64{2}) {
					t.Errorf("versions %v arrived, want the living one", got)
				}
			})
		})
	}
}
