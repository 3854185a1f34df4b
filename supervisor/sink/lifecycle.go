package sink

import (
	"fmt"
	"log/slog"
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

// Tell hands a lifecycle event to the sink. It never blocks, and costs nothing
// for a sink that takes none. What comes to the sink as an alert does not come
// as an event too, and no sink is told of itself.
func (w *Worker) Tell(e event.Event) {
	switch {
	case w.lifecycle == nil, !IsLifecycle(e), e.Sink == w.cfg.Name,
		e.Account != "" && !w.concerns(e.Account),
		w.alerts != nil && comesAsAlert(e):
		return
	}
	if w.lifecycle.add(e) {
		w.ring() // a burst of drops has begun: the loop logs it
	}
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
	// burst: events are being dropped; unlogged: nobody has said so yet.
	burst, unlogged bool
	closed          bool
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
		q.burst, q.unlogged = true, q.unlogged || burst
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

// tried notes how a try went.
func (q *lifecycle) tried(failed bool, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !failed:
		q.failing = time.Time{}
	case q.failing.IsZero():
		q.failing = now
	}
}

// count returns how many events wait, how many were given up, and since when
// the sink takes none; zero: it does.
func (q *lifecycle) count() (waiting int, dropped uint64, failing time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting, q.dropped, q.failing
}

// shut forgets what waits and takes nothing more until open: a sink that is
// disabled is not told of the past afterwards.
func (q *lifecycle) shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.waiting > 0 {
		q.remove()
	}
	q.closed, q.burst, q.unlogged, q.failing = true, false, false, time.Time{}
}

func (q *lifecycle) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
}

func (q *lifecycle) isShut() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// droppedEvents says, once for each burst, that events are dropped.
func (w *Worker) droppedEvents() note {
	if w.lifecycle == nil {
		return note{}
	}
	q := w.lifecycle
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.unlogged {
		return note{}
	}
	q.unlogged = false
	return note{slog.LevelWarn, event.Event{
		Type: event.DeliveryFailed,
		Message: fmt.Sprintf("sink %q is too slow for the lifecycle events: %d wait, and the oldest of them are dropped; see its last error with: tokenkeeper sinks",
			w.cfg.Name, maxEvents),
	}}
}
