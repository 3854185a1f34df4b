package queue

import "container/heap"

// byTime is a heap of items, the earliest first.
type byTime[K comparable] []*item[K]

// put adds the item, or moves it to where its moment is now.
func (h *byTime[K]) put(it *item[K]) {
	if it.index < 0 {
		heap.Push(h, it)
		return
	}
	heap.Fix(h, it.index)
}

func (h *byTime[K]) remove(it *item[K]) { heap.Remove(h, it.index) }

// pop takes out the earliest.
func (h *byTime[K]) pop() *item[K] { return heap.Pop(h).(*item[K]) }

// What follows is for container/heap.

func (h byTime[K]) Len() int           { return len(h) }
func (h byTime[K]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h byTime[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byTime[K]) Push(x any) {
	it := x.(*item[K])
	it.index = len(*h)
	*h = append(*h, it)
}

func (h *byTime[K]) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}
