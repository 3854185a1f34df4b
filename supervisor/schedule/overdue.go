package schedule

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// faultTolerated is by how much the clocks may drift apart between two looks.
const faultTolerated = time.Minute

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

// Fault of a heap, for an account; "": none. An account is in order if what the
// heap holds of it stands where its index says, after what it comes after, and
// no later by the one clock than by the other.
func (h *Heap) Fault(account string, now Instant) string {
	it, ok := h.account[account]
	switch {
	case !ok:
		return ""
	case it.account != account, it.index < 0, it.index >= len(h.items), h.items[it.index] != it:
		return "it stands where nobody finds it"
	case it.index > 0 && h.items[(it.index-1)/2].mono > it.mono:
		return "it stands after one that is due later"
	case moment.Minus(it.mono, now.Mono) > moment.Within(it.wall.Sub(now.Wall), 0, Farthest)+faultTolerated:
		return "its times by the two clocks contradict each other"
	}
	return ""
}
