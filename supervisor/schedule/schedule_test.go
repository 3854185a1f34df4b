package schedule_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

var issued = time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)

func TestDue(t *testing.T) {
	const m, s = time.Minute, time.Second
	for _, tt := range []struct {
		name     string
		policy   schedule.Policy
		lifetime time.Duration
		chance   float64
		want     time.Duration // after it was issued
	}{
		{"Schwab: every 25 minutes", schedule.Policy{BeforeExpiry: 5 * m}, 30 * m, 0, 25 * m},
		{"Saxo: within 5 minutes of expiry", schedule.Policy{BeforeExpiry: 5 * m}, 20 * m, 0, 15 * m},
		{"an interval that comes first", schedule.Policy{BeforeExpiry: 5 * m, Every: 10 * m}, 30 * m, 0, 10 * m},
		{"an interval that comes last", schedule.Policy{BeforeExpiry: 5 * m, Every: time.Hour}, 30 * m, 0, 25 * m},
		{"jitter is earlier", schedule.Policy{BeforeExpiry: 5 * m, Jitter: 10 * s}, 30 * m, 0.5, 25*m - 5*s},
		{"jitter is small beside a short life", schedule.Policy{BeforeExpiry: 2 * s, Jitter: 10 * s}, 20 * s, 0.999999999, 17 * s},
		{"before expiry longer than the life", schedule.Policy{BeforeExpiry: time.Hour}, 20 * m, 0, 5 * m},
		{"of a life that nobody knows", schedule.Policy{BeforeExpiry: 5 * m}, 0, 0, 0},
		{"dead long before it came", schedule.Policy{BeforeExpiry: 5 * m}, -time.Hour, 0, 0},
	} {
		got := schedule.PlanOf(tt.policy, schedule.Life{Issued: issued, Lifetime: tt.lifetime}, issued, tt.chance).Due.Sub(issued)
		if got.Round(time.Millisecond) != tt.want {
			t.Errorf("%s: due after %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestDueIsNeverAtOnceNorAfterTheDeath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lifetime := time.Duration(rapid.Int64Range(1, int64(366*24*time.Hour)).Draw(t, "lifetime"))
		p := schedule.Policy{
			BeforeExpiry: time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "before")),
			Every:        time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "every")),
			Jitter:       time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "jitter")),
		}
		due := schedule.PlanOf(p, schedule.Life{Issued: issued, Lifetime: lifetime}, issued, rapid.Float64Range(0, 0.999).Draw(t, "chance")).Due
		if after := due.Sub(issued); after < lifetime/4 || after > lifetime {
			t.Fatalf("due %s after issue, of a life of %s", after, lifetime)
		}
	})
}

func TestRetriesFitIntoTheTimeThatIsLeft(t *testing.T) {
	// Five minutes are left, and the server is down: that is time for many
	// tries, also for a last one shortly before the token dies.
	now, expiry := issued, issued.Add(5*time.Minute)
	tries, last := 0, time.Duration(0)
	for now.Before(expiry) {
		next := schedule.Retry(schedule.Failure{InRow: tries + 1}, now, expiry, 0.999)
		last, now = expiry.Sub(now), next
		tries++
	}
	if tries < 8 || last > 3*time.Second {
		t.Errorf("%d tries in five minutes, the last %s before the end", tries, last)
	}
}

func TestRetry(t *testing.T) {
	alive, dead := issued.Add(20*time.Minute), issued.Add(-time.Minute)
	for _, tt := range []struct {
		name    string
		failure schedule.Failure
		expiry  time.Time
		want    time.Duration
	}{
		{"first", schedule.Failure{InRow: 1}, alive, 2 * time.Second},
		{"third", schedule.Failure{InRow: 3}, alive, 8 * time.Second},
		{"hundredth", schedule.Failure{InRow: 100}, alive, time.Minute},
		{"hundredth of a dead token", schedule.Failure{InRow: 100}, dead, time.Minute},
		{"told to wait", schedule.Failure{InRow: 1, RetryAfter: 10 * time.Minute}, alive, 10 * time.Minute},
		{"told to wait for ever", schedule.Failure{InRow: 1, RetryAfter: 1<<63 - 1}, alive, time.Hour},
		{"of an end that nobody knows", schedule.Failure{InRow: 3}, time.Time{}, 8 * time.Second},
		{"told to wait less", schedule.Failure{InRow: 100, RetryAfter: time.Second}, alive, time.Minute},
		{"misconfigured", schedule.Failure{InRow: 1, Misconfigured: true}, alive, time.Minute},
		{"misconfigured for long", schedule.Failure{InRow: 50, Misconfigured: true}, dead, 15 * time.Minute},
		{"misconfigured, and dead before the next try", schedule.Failure{InRow: 1, Misconfigured: true}, issued.Add(58 * time.Second), 48 * time.Second},
		{"misconfigured, and dead long before the next try", schedule.Failure{InRow: 9, Misconfigured: true}, issued.Add(14 * time.Minute), 14*time.Minute - 10*time.Second},
		{"misconfigured, and tried for the last time", schedule.Failure{InRow: 2, Misconfigured: true}, issued.Add(10 * time.Second), 2 * time.Minute},
		{"misconfigured, told to wait for longer than it lives", schedule.Failure{InRow: 1, Misconfigured: true, RetryAfter: 5 * time.Minute}, issued.Add(58 * time.Second), 5 * time.Minute},
		{"a second is left", schedule.Failure{InRow: 9}, issued.Add(time.Second), time.Second},
	} {
		if got := schedule.Retry(tt.failure, issued, tt.expiry, 0).Sub(issued); got != tt.want {
			t.Errorf("%s: after %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The heap against a plain map, in any order of calls and under clocks that
// jump.
func TestHeapGivesTheEarliest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := schedule.NewHeap()
		now := schedule.Instant{Wall: issued}
		mono := map[string]time.Duration{}
		wall := map[string]time.Time{}
		names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				name := names.Draw(t, "name")
				due := now.Wall.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "in")) * time.Second)
				h.Set(name, due, now)
				wall[name], mono[name] = due, now.Mono+due.Sub(now.Wall)
			},
			"remove": func(t *rapid.T) {
				name := names.Draw(t, "name")
				h.Remove(name)
				delete(mono, name)
				delete(wall, name)
			},
			"time passes": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(0, 100).Draw(t, "by")) * time.Second
				now.Mono += d
				now.Wall = now.Wall.Add(d)
			},
			"the wall clock jumps": func(t *rapid.T) {
				now.Wall = now.Wall.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "by")) * time.Second)
				moved := 0
				for name := range mono {
					if m := now.Mono + wall[name].Sub(now.Wall); m < mono[name] {
						mono[name] = m
						moved++
					}
				}
				if got := h.Replan(now); got != moved {
					t.Fatalf("Replan moved %d, want %d", got, moved)
				}
			},
			"": func(t *rapid.T) {
				if h.Len() != len(mono) {
					t.Fatalf("%d in the heap, want %d", h.Len(), len(mono))
				}
				name, wait, ok := h.Next(now)
				if !ok {
					return
				}
				if mono[name]-now.Mono != wait {
					t.Fatalf("%s in %s, want in %s", name, wait, mono[name]-now.Mono)
				}
				for other, m := range mono {
					if m < mono[name] {
						t.Fatalf("%s was given although %s is earlier", name, other)
					}
				}
				if due, ok := h.Due(name); !ok || !due.Equal(wall[name]) {
					t.Fatalf("%s is due %s, want %s", name, due, wall[name])
				}
			},
		})
	})
}

func TestDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jump time.Duration
		c := schedule.NewClock(func() time.Time { return time.Now().Add(jump) }, nil)
		before := c.Now()
		time.Sleep(30 * time.Second)
		if d := schedule.Drift(before, c.Now()); d != 0 {
			t.Errorf("clocks that agree drift by %s", d)
		}
		for _, want := range []time.Duration{8 * time.Hour, -9 * time.Hour} {
			before = c.Now()
			jump += want
			time.Sleep(30 * time.Second)
			if d := schedule.Drift(before, c.Now()); d != want {
				t.Errorf("a jump by %s reads as %s", want, d)
			}
		}
	})
}
