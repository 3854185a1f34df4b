package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestOverdueAndEarliest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, now := NewHeap(), Instant{Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Mono: time.Hour}
		waits := rapid.SliceOfN(rapid.IntRange(-1000, 1000), 0, 60).Draw(t, "waits")
		var due []int
		for i, w := range waits {
			h.Set(fmt.Sprint(i), now.Wall.Add(time.Duration(w)*time.Second), now)
			if w <= 0 {
				due = append(due, w)
			}
		}
		slices.Sort(due)
		if got := h.Overdue(now); got != len(due) {
			t.Fatalf("%d overdue, want %d", got, len(due))
		}
		most := rapid.IntRange(0, 70).Draw(t, "most")
		names := h.Earliest(most, now)
		if len(names) != min(most, len(due)) {
			t.Fatalf("%d names of %d", len(names), len(due))
		}
		for i, name := range names {
			if mono, _ := h.Mono(name); mono != now.Mono+time.Duration(due[i])*time.Second {
				t.Fatalf("%d: %s is due %s", i, name, mono)
			}
			if _, _, fault := h.Place(name); fault != "" {
				t.Fatal(fault)
			}
		}
	})
}

func TestDisorderIsAFault(t *testing.T) {
	for name, disturb := range map[string]func(h *Heap){
		"swapped":      func(h *Heap) { h.items[0], h.items[2] = h.items[2], h.items[0] },
		"out of order": func(h *Heap) { h.items[0].mono = 99 * time.Hour },
		"cut off":      func(h *Heap) { h.items = h.items[:2] },
		"another's":    func(h *Heap) { h.account["1"] = h.account["2"] },
	} {
		h := NewHeap()
		for i := range 5 {
			h.Set(fmt.Sprint(i), time.Date(2026, 1, 1, i, 0, 0, 0, time.UTC), Instant{Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		}
		disturb(h)
		found := ""
		for i := range 5 {
			_, _, fault := h.Place(fmt.Sprint(i))
			found += fault
		}
		if found == "" {
			t.Errorf("%s: nothing found", name)
		}
	}
}
