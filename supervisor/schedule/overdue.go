package schedule

import "time"

// Overdue is how many accounts are due, as seen from now. It looks at no others.
func (h *Heap) Overdue(now Instant) int { return h.overdue(0, now) }

func (h *Heap) overdue(i int, now Instant) int {
	if i >= len(h.items) || h.items[i].mono > now.Mono {
		return 0
	}
	return 1 + h.overdue(2*i+1, now) + h.overdue(2*i+2, now)
}

// Earliest returns up to most of the accounts that are due, the longest first.
func (h *Heap) Earliest(most int, now Instant) []string {
	var names []string
	for edge := []int{0}; len(edge) > 0 && len(names) < most; {
		best := 0
		for i, at := range edge {
			if at < len(h.items) && (edge[best] >= len(h.items) || h.items[at].mono < h.items[edge[best]].mono) {
				best = i
			}
		}
		at := edge[best]
		edge = append(edge[:best], edge[best+1:]...)
		if at >= len(h.items) || h.items[at].mono > now.Mono {
			continue
		}
		names = append(names, h.items[at].account)
		edge = append(edge, 2*at+1, 2*at+2)
	}
	return names
}

// Place is [Heap.Mono], and what is wrong with the place of the account; "":
// nothing. What the heap holds of it must stand where its index says, after
// nobody who is due later.
func (h *Heap) Place(account string) (due time.Duration, ok bool, fault string) {
	it, ok := h.account[account]
	if !ok {
		return 0, false, ""
	}
	return it.mono, true, h.fault(it, account)
}

func (h *Heap) fault(it *item, account string) string {
	switch {
	case it.account != account, it.index < 0, it.index >= len(h.items), h.items[it.index] != it:
		return "it stands in the plan where nobody finds it"
	case it.index > 0 && h.items[(it.index-1)/2].mono > it.mono:
		return "it stands in the plan after one that is due later"
	}
	return ""
}
