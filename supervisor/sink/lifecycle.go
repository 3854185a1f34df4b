package sink

import (
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// maxEvents is how many lifecycle events wait for one sink; the oldest give way
// to the newest.
const maxEvents = 256

// IsLifecycle says whether an event goes to the sinks that take lifecycle
// events. How deliveries go is not for them: every delivery of such an event
// would bring the next one.
func IsLifecycle(e event.Event) bool {
	switch e.Type {
	case event.Delivered, event.DeliveryFailed, event.DeliveryPutOff:
		return false
	}
	return true
}

// comesAsAlert says whether an alert tells what the event does.
func comesAsAlert(e event.Event) bool {
	switch e.Type {
	case event.Recovered, event.NeedsLogin, event.Ambiguous, event.UnknownToken, event.ProviderParked, event.SinkParked, event.OtherMachine:
		return true
	}
	return e.Alert || e.Type.Fades() > 0
}

// lifecycle holds the events that wait for one sink, oldest first. Nothing of
// it survives the supervisor.
type lifecycle struct {
	rang chan struct{}

	mu      sync.Mutex
	events  [maxEvents]event.Event
	first   int
	waiting int
	dropped uint64
	failing time.Time // since when it takes no event; zero: it does
	inRow   int       // tries since then
	burst   bool      // events are being dropped
	closed  bool
}

func newLifecycle() *lifecycle { return &lifecycle{rang: make(chan struct{}, 1)} }

// add returns whether events are dropped from now on.
func (q *lifecycle) add(e event.Event) (burst bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if q.waiting == maxEvents {
		q.remove()
		q.dropped++
		burst = !q.burst
		q.burst = true
	}
	q.events[(q.first+q.waiting)%maxEvents] = e
	q.waiting++
	select {
	case q.rang <- struct{}{}:
	default:
	}
	return burst
}

// next takes out the oldest event.
func (q *lifecycle) next() (e event.Event, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 {
		q.burst = false
		return e, false
	}
	return q.remove(), true
}

func (q *lifecycle) remove() event.Event {
	e := q.events[q.first]
	q.events[q.first] = event.Event{}
	q.first = (q.first + 1) % maxEvents
	q.waiting--
	return e
}

// giveUp counts an event that the sink did not take.
func (q *lifecycle) giveUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
}

// tried notes how a try went, and returns how many before it, or with it, have failed
// in a row.
func (q *lifecycle) tried(failed bool, now time.Time) (inRow int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !failed {
		inRow = q.inRow
		q.inRow, q.failing = 0, time.Time{}
		return inRow
	}
	if q.inRow++; q.inRow == 1 {
		q.failing = now
	}
	return q.inRow
}

// count returns how many events wait, how many were given up, and how many tries have
// failed in a row, since when.
func (q *lifecycle) count() (waiting int, dropped uint64, inRow int, failing time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting, q.dropped, q.inRow, q.failing
}

// shut forgets what waits and takes nothing more until it is reopened: a sink that is
// disabled is not told of the past afterwards.
func (q *lifecycle) shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.waiting > 0 {
		q.remove()
	}
	q.closed, q.burst, q.inRow, q.failing = true, false, 0, time.Time{}
}

func (q *lifecycle) reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
}

func (q *lifecycle) isShut() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
