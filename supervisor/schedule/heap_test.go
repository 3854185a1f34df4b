package schedule_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// hostile gives times that no server means: those that overflow in arithmetic
// among them.
func hostile() *rapid.Generator[time.Time] {
	return rapid.OneOf(
		rapid.SampledFrom([]time.Time{
			{}, time.Time{}.Add(-20 * time.Minute), time.Unix(0, 0), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0),
			time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(-292277022399, 1, 1, 0, 0, 0, 0, time.UTC),
		}),
		rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64().Draw(t, "seconds"), 0) }),
	)
}

// Whatever times the heap is given for some accounts, the others are due when
// they are due, and what it says is sane.
func TestHostileTimesDisturbNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, alone := schedule.NewHeap(), schedule.NewHeap()
		now := schedule.Instant{Wall: issued, Mono: time.Hour}
		n := rapid.IntRange(1, 8).Draw(t, "hostile accounts")
		for i := range n {
			h.Set(fmt.Sprint("hostile", i), hostile().Draw(t, "due"), now)
		}
		for i := range 4 {
			due := now.Wall.Add(time.Duration(rapid.IntRange(-100, 1000).Draw(t, "in")) * time.Second)
			h.Set(fmt.Sprint("good", i), due, now)
			alone.Set(fmt.Sprint("good", i), due, now)
		}
		if rapid.Bool().Draw(t, "the wall clock jumps") {
			wild := schedule.Instant{Wall: hostile().Draw(t, "to"), Mono: now.Mono}
			h.Replan(wild)
			alone.Replan(wild)
		}
		var given []string
		for h.Len() > 0 {
			name, wait, ok := h.Next(now)
			if !ok || wait < -schedule.Farthest || wait > schedule.Farthest {
				t.Fatalf("%s in %s (%t)", name, wait, ok)
			}
			if due, _ := h.Due(name); !moment.Sane(due) {
				t.Fatalf("%s is due %v", name, due)
			}
			h.Remove(name)
			if _, good := alone.Due(name); good {
				given = append(given, name)
				want, wantWait, _ := alone.Next(now)
				if wait != wantWait {
					t.Fatalf("%s in %s, and without the others %s in %s", name, wait, want, wantWait)
				}
				alone.Remove(name)
			}
		}
		if len(given) != 4 {
			t.Fatalf("only %v of four became due", given)
		}
	})
}

// The time that is not known comes first: it is due now.
func TestNotKnownIsDueNow(t *testing.T) {
	h := schedule.NewHeap()
	now := schedule.Instant{Wall: issued}
	h.Set("good", issued.Add(time.Minute), now)
	h.Set("unknown", time.Time{}, now)
	if name, wait, _ := h.Next(now); name != "unknown" || wait != 0 {
		t.Errorf("%s is due in %s", name, wait)
	}
	if due, ok := h.Due("unknown"); !ok || !due.Equal(now.Wall) {
		t.Errorf("due %v", due)
	}
}
