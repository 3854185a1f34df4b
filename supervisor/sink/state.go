package sink

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/queue"
)

// state is how far the deliveries to one sink are. Whatever there is to do is
// in its queue. What a key's deliveries have come to changes only by who has the
// key in hand, and by what people want.
type state struct {
	*setup
	queue *queue.Queue[key]
	// events is nil if no lifecycle events go there.
	events *lifecycle

	// mu guards what follows. It is never held while something is waited for.
	mu sync.Mutex
	// A key of which anything is known has an entry or a receipt.
	entries  map[key]*entry
	receipts map[Kind]map[string]receipt
	// open has every entry of which there is more to say than that the sink has
	// the newest, so that a summary looks at those alone.
	open       map[*entry]struct{}
	accounts   int // that have an entry or a receipt
	absence    absence
	complaints complaints
	disabled   disabled
	totals     totals
	door       door
}

func newState(d *setup) *state {
	backoff := func(failures int) time.Duration { return d.Policy.pause(failures, rand.Float64()) }
	s := &state{
		setup: d,
		queue: queue.New(backoff, func(k key) bool { return k.kind == KindAlert }),
	}
	s.reset()
	if d.takes(KindLifecycle) {
		s.events = newLifecycle()
	}
	return s
}

// wake notes that there may be something newer of the key, also while the sink
// is disabled, so that enabling it misses nothing.
func (s *state) wake(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(k)
	if e.dead { // what it lags behind begins now
		e.since, e.dead = time.Time{}, false
	}
	e.woken = true
	e.fallBehind(s.Wall())
	s.note(e)
	s.add(k)
}

// want notes that a person wants the key delivered once more.
func (s *state) want(k key, wanted wish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wish(s.entry(k), wanted)
}

// begin returns what is known of a key that was taken from the queue; ok is
// false if it is not its turn.
func (s *state) begin(k key) (view entry, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disabled.is() || !s.absence.turn(k, time.Now(), s.queue) {
		return view, false
	}
	e := s.entry(k)
	e.woken = false
	return *e, true
}

// whoDisabled says who disabled the sink; "": nobody.
func (s *state) whoDisabled() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disabled.by
}

// disableFor lets no key have its turn any more, and returns what to tell.
func (s *state) disableFor(by string) note {
	if by == "" {
		by = "a person"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.disabled
	s.disable(by)
	if was.is() {
		s.disabled.at = was.at
		return note{}
	}
	return s.disabled.off(s.Name)
}

// enable lets everything that was missed have its turn, and returns what to
// tell.
func (s *state) enable() note {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.disabled
	s.disabled = disabled{}
	s.nudge()
	if s.events != nil {
		s.events.reopen()
	}
	if !was.is() {
		return note{}
	}
	for k, e := range s.entries {
		e.refused, e.failures, e.lastError, e.due = false, 0, "", time.Time{}
		s.queue.Forget(k)
		s.note(e)
		s.add(k)
	}
	return was.over(s.Name)
}

// What follows is called with mu held.

// reset forgets how far the deliveries are, and returns what was not settled.
// What is queued, or in a hand that an earlier run has left behind, stays so.
func (s *state) reset() (old map[key]*entry) {
	old = s.entries
	for k := range old {
		s.queue.Forget(k)
	}
	s.entries, s.open = map[key]*entry{}, map[*entry]struct{}{}
	s.receipts = map[Kind]map[string]receipt{KindToken: {}, KindAlert: {}}
	s.accounts, s.absence, s.complaints = 0, absence{}, complaints{}
	return old
}

// entry returns the entry of a key, a new one if need be.
func (s *state) entry(k key) *entry {
	if e := s.entries[k]; e != nil {
		return e
	}
	e := &entry{key: k}
	s.entries[k] = e
	if r, is := s.receipts[k.kind][k.name]; is {
		e.delivered = r.delivery(s.Name, k.name)
		delete(s.receipts[k.kind], k.name)
		return e
	}
	s.count(k.kind, 1)
	return e
}

// wish has what is newest of the entry delivered once more.
func (s *state) wish(e *entry, wanted wish) {
	e.asked++
	if wanted.over != (sight{}) {
		e.forced, e.over = e.asked, wanted.over
	}
	e.woken, e.due = true, time.Time{}
	s.note(e)
	s.add(e.key)
}

func (s *state) count(kind Kind, n int) {
	if kind == KindToken {
		s.accounts += n
	}
}

// add lets the key be looked at as soon as it can be.
func (s *state) add(k key) {
	if !s.disabled.is() && !s.absence.waits(k) { // else it is added when that is over
		s.queue.Add(k)
	}
}

// note must be called whenever an entry has changed.
func (s *state) note(e *entry) {
	if s.entries[e.key] == e && (e.behind() || !e.due.IsZero() || s.failuresOf(e) > 0) {
		s.open[e] = struct{}{}
		return
	}
	delete(s.open, e)
}

// failuresOf is how often in a row it was not taken, whatever the version; 0 as long
// as the one in hand has not failed.
func (s *state) failuresOf(e *entry) int {
	if !e.refused && (e.failures == 0 || s.queue.Failures(e.key) == 0) {
		return 0
	}
	return max(1, e.failures)
}

// shrink keeps of an entry of which there is nothing left to do the receipt
// alone.
func (s *state) shrink(e *entry) {
	if s.entries[e.key] != e || s.absence.waits(e.key) || s.failuresOf(e) > 0 || !e.nothingLeft(time.Now()) {
		return
	}
	if r, ok := receiptOf(e.delivered); ok {
		delete(s.entries, e.key)
		s.receipts[e.kind][e.name] = r
	}
}

// drop lets go of an entry of which there is nothing to bring.
func (s *state) drop(e *entry) {
	if s.entries[e.key] != e {
		return
	}
	delete(s.entries, e.key)
	s.count(e.kind, -1)
	s.queue.Forget(e.key)
	e.losing = 0 // it speaks for no other any more
}

// present ends an absence, as the consumer has answered to the key: the others
// that waited have their turn.
func (s *state) present(k key) {
	for _, other := range s.absence.over() {
		if other != k {
			s.add(other)
		}
	}
}

// disable takes back what is planned.
func (s *state) disable(by string) {
	s.disabled = disabled{by, s.Wall()}
	s.nudge()
	for e := range s.open {
		e.due = time.Time{}
		s.note(e)
	}
	s.absence.over()
	if s.events != nil {
		s.events.shut()
	}
}
