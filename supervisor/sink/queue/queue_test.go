package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/queue"
)

// doubling is a pause of a second, doubled with each failure.
func doubling(failures int) time.Duration { return time.Second << (failures - 1) }

func newQueue() *queue.Queue[string] {
	return queue.New(doubling, func(key string) bool { return key[0] == '!' })
}

// now returns the key that is due, "" if there is none.
func now(t *testing.T, q *queue.Queue[string]) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	key, _ := q.Get(ctx)
	return key
}

// want takes the keys that are due and compares them.
func want(t *testing.T, q *queue.Queue[string], when string, keys ...string) {
	t.Helper()
	for _, key := range append(keys, "") {
		if got := now(t, q); got != key {
			t.Errorf("%s: %q is due, want %q", when, got, key)
		}
	}
}

func TestKeyIsInOneHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add("a")
		q.Add("a")
		want(t, q, "added twice", "a")
		q.Add("a")
		q.Add("a")
		want(t, q, "added while in hand")
		q.Done("a")
		want(t, q, "done", "a")
		q.Done("a")
		want(t, q, "done again")
		if q.InHand() != 0 {
			t.Errorf("%d in hand", q.InHand())
		}
	})
}

func TestTheFirstMomentCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		began := time.Now()
		q.AddAfter("late", time.Hour)
		q.AddAfter("a", time.Hour)
		q.AddAfter("a", time.Minute)
		q.AddAfter("a", 2*time.Hour)
		key, ok := q.Get(t.Context())
		if took := time.Since(began); key != "a" || !ok || took != time.Minute {
			t.Errorf("%q after %s", key, took)
		}
		q.AddAfter("a", time.Hour) // while it is in hand
		q.AddAfter("a", time.Minute)
		time.Sleep(10 * time.Minute)
		q.Done("a")
		want(t, q, "its moment came while it was in hand", "a")
		q.Done("a")
		time.Sleep(time.Hour)
		want(t, q, "an hour later", "late")
	})
}

func TestUrgentKeysComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add("a")
		time.Sleep(time.Second)
		q.Add("!b")
		q.AddAfter("!c", time.Minute)
		want(t, q, "an urgent one that is not due holds up nobody", "!b", "a")
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		for i, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			if got := q.AddRateLimited("a", 0); got != pause || q.Failures("a") != i+1 {
				t.Errorf("failure %d: a pause of %s, want %s; %d are counted", i+1, got, pause, q.Failures("a"))
			}
		}
		if got := q.AddRateLimited("b", time.Minute); got != time.Minute {
			t.Errorf("a pause of %s, want the minute that was asked for", got)
		}
		q.Forget("a")
		q.Forget("stranger")
		q.Resume("c", 4)
		if got := q.AddRateLimited("a", 0); got != time.Second {
			t.Errorf("after it was forgotten, a pause of %s", got)
		}
		if got := q.AddRateLimited("c", 0); got != 16*time.Second {
			t.Errorf("a pause of %s after four failures in an earlier run", got)
		}
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add("a")
		if !q.Hold(t.Context(), "a") || !q.Hold(t.Context(), "idle") {
			t.Fatal("what is in no hand can't be held")
		}
		q.Done("idle")
		want(t, q, "held")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if q.Hold(short, "a") {
			t.Fatal("it is in two hands")
		}
		var got []string
		for _, who := range []string{"first", "second"} {
			go func() {
				if q.Hold(t.Context(), "a") {
					got = append(got, who)
					time.Sleep(time.Second)
					q.Done("a")
				}
			}()
			synctest.Wait()
		}
		q.Done("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if fmt.Sprint(got) != "[first second]" {
			t.Errorf("it was held by %v", got)
		}
		want(t, q, "it was queued when it was taken out of turn", "a")
	})
}

func TestEndOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.AddAfter("a", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if key, ok := q.Get(ctx); ok {
			t.Errorf("%q was handed out early", key)
		}
		q.Add("a")
		if _, ok := q.Get(ctx); ok {
			t.Error("a key was handed out after the end")
		}
		want(t, q, "nothing is lost by it", "a")
	})
}

// Whatever is added is handed out afterwards, by many hands, and is never in two.
func TestNothingIsLostAndNothingIsInTwoHands(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ what, key, pause int }
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 3).Draw(t, "what"), rapid.IntRange(0, 3).Draw(t, "key"), rapid.IntRange(0, 3).Draw(t, "pause")}
		}), 1, 60).Draw(rt, "steps")
		hands := rapid.IntRange(1, 3).Draw(rt, "hands")
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			q := newQueue()
			var mu sync.Mutex
			inHand, owed := map[string]bool{}, map[string]bool{}
			use := func(key string) {
				mu.Lock()
				if inHand[key] {
					faults = append(faults, key+" is in two hands")
				}
				inHand[key] = true
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				inHand[key] = false
				mu.Unlock()
				q.Done(key)
			}
			for range hands {
				go func() {
					for {
						key, ok := q.Get(t.Context())
						if !ok {
							return
						}
						mu.Lock()
						delete(owed, key)
						mu.Unlock()
						use(key)
					}
				}()
			}
			for _, s := range steps {
				key := []string{"a", "b", "!c", "!d"}[s.key]
				mu.Lock()
				if s.what < 3 {
					owed[key] = true
				}
				mu.Unlock()
				switch s.what {
				case 0:
					q.Add(key)
				case 1:
					q.AddAfter(key, time.Duration(s.pause)*time.Second)
				case 2:
					q.Forget(key)
					q.AddRateLimited(key, 0)
				case 3:
					go func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(s.pause)*time.Second)
						defer cancel()
						if q.Hold(ctx, key) {
							use(key)
						}
					}()
				}
				time.Sleep(time.Duration(s.pause) * time.Second / 2)
			}
			time.Sleep(time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if len(owed) > 0 || q.InHand() != 0 {
				faults = append(faults, fmt.Sprintf("never handed out: %v; %d are still in hand", owed, q.InHand()))
			}
		})
		for _, f := range faults {
			rt.Error(f)
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue()
	b.ReportAllocs()
	for b.Loop() {
		q.Add("a")
		key, _ := q.Get(b.Context())
		q.Done(key)
	}
}
