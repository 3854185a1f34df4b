package schedule

import (
	"container/heap"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Heap holds the due time of every account of one provider, the earliest
// first. It outlives the provider's generations. It is not safe for
// concurrent use.
//
// Each due time is kept twice: by the wall clock, which jumps, and by the
// monotonic clock, which stands still while the machine sleeps. An account is
// due at the earlier of both.
//
// No time that it is given can disturb the others: one that is not known means
// now, and nothing is due later than [Farthest].
type Heap struct {
	items   items
	account map[string]*item
}

type item struct {
	account string
	wall    time.Time
	mono    time.Duration
	index   int
}

// NewHeap returns an empty heap.
func NewHeap() *Heap { return &Heap{account: map[string]*item{}} }

// Instant is one moment on all clocks.
type Instant struct {
	Wall time.Time
	Mono time.Duration
	// Up is how long the machine has been up, its sleep included: nobody sets it, and it
	// stands still at no time.
	Up time.Duration
}

// Farthest is how far ahead an account can be due: the longest life that any
// server's word is believed for.
const Farthest = 366 * 24 * time.Hour

// in is how long it is until due, within what a heap can hold.
func in(due time.Time, now Instant) time.Duration {
	if !moment.Sane(due) || !moment.Sane(now.Wall) {
		return 0
	}
	return moment.Within(due.Sub(now.Wall), -Farthest, Farthest)
}

// Set makes account due at due, as seen from now; at once if due is not known.
// It returns when that is.
func (h *Heap) Set(account string, due time.Time, now Instant) Instant {
	wait := in(due, now)
	due, mono := moment.Add(now.Wall, wait), moment.Plus(now.Mono, wait)
	if it, ok := h.account[account]; ok {
		it.wall, it.mono = due, mono
		heap.Fix(&h.items, it.index)
		return Instant{Wall: due, Mono: mono}
	}
	it := &item{account: account, wall: due, mono: mono}
	h.account[account] = it
	heap.Push(&h.items, it)
	return Instant{Wall: due, Mono: mono}
}

// Remove takes account out: it is not due at any time.
func (h *Heap) Remove(account string) {
	if it, ok := h.account[account]; ok {
		heap.Remove(&h.items, it.index)
		delete(h.account, account)
	}
}

// Due returns when account is due by the wall clock; ok is false if it is not
// in the heap.
func (h *Heap) Due(account string) (due time.Time, ok bool) {
	it, ok := h.account[account]
	if !ok {
		return time.Time{}, false
	}
	return it.wall, true
}

// Mono is Due by the monotonic clock.
func (h *Heap) Mono(account string) (due time.Duration, ok bool) {
	it, ok := h.account[account]
	if !ok {
		return 0, false
	}
	return it.mono, true
}

// Next returns the account that is due first and how long that is from now; a
// negative wait means overdue. ok is false if the heap is empty.
func (h *Heap) Next(now Instant) (account string, wait time.Duration, ok bool) {
	if len(h.items) == 0 {
		return "", 0, false
	}
	return h.items[0].account, moment.Minus(h.items[0].mono, now.Mono), true
}

// Replan is called when the clocks have drifted apart: whatever the wall clock
// now says is due earlier than the monotonic one does, is. It returns how
// many accounts moved.
func (h *Heap) Replan(now Instant) int {
	moved := 0
	for _, it := range h.items {
		if mono := moment.Plus(now.Mono, in(it.wall, now)); mono < it.mono {
			it.mono = mono
			moved++
		}
	}
	heap.Init(&h.items)
	return moved
}

// Len is the number of accounts in the heap.
func (h *Heap) Len() int { return len(h.items) }

type items []*item

func (s items) Len() int           { return len(s) }
func (s items) Less(i, j int) bool { return s[i].mono < s[j].mono }
func (s items) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *items) Push(x any) {
	it := x.(*item)
	it.index = len(*s)
	*s = append(*s, it)
}

func (s *items) Pop() any {
	old := *s
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return it
}
