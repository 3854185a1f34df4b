package sink

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/queue"
)

const (
	// firstLook, doubled up to lastLook, is how often an absent consumer is
	// looked for when nothing tells that it came.
	firstLook = time.Second
	lastLook  = 30 * time.Second
	// quickLook is the first pause after a sign that it came: a socket's file
	// exists a moment before anybody listens on it.
	quickLook = 20 * time.Millisecond
	// signPause: signs that follow each other faster cut no back-off short again.
	signPause = time.Second
)

// absence is a consumer that is not running: the keys that wait for it, and one
// of them, the scout, with which it is looked for. A thousand accounts therefore
// cost as much as one.
type absence struct {
	waiting  map[key]struct{}
	scout    key
	pause    time.Duration
	due      time.Time // of the next look
	lastSign time.Time
	why      string             // how the newest look found it absent
	stop     context.CancelFunc // ends the wait for a sign; nil: nobody waits
}

// is says whether the consumer is known to be absent.
func (a *absence) is() bool { return len(a.waiting) > 0 }

func (a *absence) waits(k key) bool {
	_, waits := a.waiting[k]
	return waits
}

// turn says whether it is the key's turn. All but the scout wait for the end of
// the absence, and the scout for its moment.
func (a *absence) turn(k key, now time.Time, q *queue.Queue[key]) bool {
	switch {
	case !a.waits(k):
		return true
	case a.scout != k:
		return false
	case now.Before(a.due):
		q.AddAfter(k, a.due.Sub(now))
		return false
	}
	return true
}

// add lets the key wait. It returns whether the consumer was present until now.
func (a *absence) add(k key, why string, now time.Time, q *queue.Queue[key]) (first bool) {
	first = !a.is()
	if first {
		a.waiting, a.scout, a.pause = map[key]struct{}{}, k, firstLook/2
		if now.Sub(a.lastSign) < signPause {
			a.pause = quickLook / 2
		}
	}
	a.waiting[k], a.why = struct{}{}, why
	if a.scout == k {
		a.pause = min(2*a.pause, lastLook)
		a.due = now.Add(a.pause)
		q.AddAfter(k, a.pause)
	}
	return first
}

// remove takes out a key that waits no longer, though the consumer has not come.
func (a *absence) remove(k key, now time.Time, q *queue.Queue[key]) {
	delete(a.waiting, k)
	if a.scout != k {
		return
	}
	for next := range a.waiting {
		a.scout = next
		q.AddAfter(next, a.due.Sub(now))
		return
	}
}

// sign notes that the consumer, or another one, may have come.
func (a *absence) sign(now time.Time, q *queue.Queue[key]) {
	a.endWatch()
	if now.Sub(a.lastSign) < signPause {
		return
	}
	a.lastSign = now
	if a.is() {
		a.pause, a.due = quickLook, now
		q.Add(a.scout)
	}
}

// over ends the absence and returns the keys that waited.
func (a *absence) over() []key {
	keys := make([]key, 0, len(a.waiting))
	for k := range a.waiting {
		keys = append(keys, k)
	}
	a.endWatch()
	*a = absence{lastSign: a.lastSign}
	return keys
}

func (a *absence) endWatch() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}
