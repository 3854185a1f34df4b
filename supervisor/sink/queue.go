package sink

import (
	"container/heap"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// line is one kind of things on their way to the sink, the lanes of it that wait
// for a moment, and what the sink has of those that rest.
type line struct {
	kind Kind
	source
	queue   queue
	resting map[string]resting
}

// lane is the way of one account's tokens, or of one alert, to the sink. One
// delivery at a time is on it.
type lane struct {
	line *line
	key  string
	// delivered is the ledger's line.
	delivered store.Delivery
	// since is when the sink fell behind; zero: it has the newest.
	since time.Time
	// atLeast: it fell behind before since, in an earlier run, and nobody knows
	// when.
	atLeast bool

	// edition that was tried last, and how that went.
	edition   edition
	failures  int
	lastError string
	// losing counts the tries of any edition that failed since one succeeded,
	// and cause is why the newest did.
	losing int
	cause  string
	// refused: trying edition again is useless.
	refused bool
	// due is the next try of edition; zero: none is planned.
	due time.Time
	// notBefore is what the receiver asked for; it holds for newer versions
	// too.
	notBefore time.Time
	// asked counts how often a person asked for it once more, and answered
	// says up to where that has been done.
	asked, answered uint64
	// forced is the count of asked at which a person wanted it written over
	// whatever the destination holds.
	forced uint64
	// unknown: the destination holds a token that must not be written over.
	unknown bool

	inFlight bool
	// again: it was woken while its delivery was in flight.
	again bool

	// at is when the queue hands out the lane, which is before due when a
	// newer version may be there.
	at    time.Time
	index int // in the queue; -1: not queued
}

func (l *lane) behind() bool { return !l.since.IsZero() }

// wished says whether a person wants it delivered once more.
func (l *lane) wished() bool { return l.asked != l.answered }

// wish is what a person wants of the next delivery.
func (l *lane) wish() wish {
	switch {
	case !l.wished():
		return noWish
	case l.forced > l.answered:
		return overAnything
	}
	return onceMore
}

// wish is what a person wants of a delivery.
type wish int

const (
	noWish wish = iota
	// onceMore: though the sink may have it.
	onceMore
	// overAnything: once more, and also over a token that nobody here knows.
	overAnything
)

// fallBehind notes since when the sink lacks something.
func (l *lane) fallBehind(since time.Time) {
	if l.since.IsZero() {
		l.since, l.atLeast = since, false
	}
}

// put queues the lane for at, or moves it there.
func (l *lane) put(at time.Time) { l.line.queue.put(l, at) }

// queue holds the lanes that wait for a moment, the earliest first.
type queue []*lane

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push and Pop are for container/heap.
func (q *queue) Push(x any) {
	l := x.(*lane)
	l.index = len(*q)
	*q = append(*q, l)
}

func (q *queue) Pop() any {
	old := *q
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	l.index = -1
	return l
}

// put queues the lane for at, or moves it there.
func (q *queue) put(l *lane, at time.Time) {
	l.at = at
	if l.index < 0 {
		heap.Push(q, l)
		return
	}
	heap.Fix(q, l.index)
}

// next takes out the first lane whose moment has come.
func (q *queue) next(now time.Time) *lane {
	if len(*q) == 0 || (*q)[0].at.After(now) {
		return nil
	}
	return heap.Pop(q).(*lane)
}
