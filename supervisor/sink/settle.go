package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// settlement draws the consequences of one try. The state is locked.
type settlement struct {
	*state
	e   *entry
	o   outcome
	now time.Time
}

// settle notes what came of a try of the key, queues what follows from it, and
// returns what to tell.
func (s *state) settle(k key, o outcome) note {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := settlement{s, s.entry(k), o, time.Now()}
	n := t.draw()
	if t.e.woken {
		s.add(k) // also if it waited for the consumer when it was woken
	}
	s.note(t.e)
	s.shrink(t.e)
	return n
}

func (t settlement) draw() note {
	e, o := t.e, t.o
	e.dead = o.dead
	if o.edition != (edition{}) && o.edition != e.edition && !o.early {
		e.edition, e.refused, e.lastError = o.edition, false, ""
		t.queue.Forget(e.key)
	}
	switch {
	case o.delivered != nil:
		return t.succeeded()
	case o.err != nil:
		return t.failed()
	}
	t.absence.remove(e.key, t.now, t.queue)
	switch {
	case o.unknown && !e.woken:
		t.drop(e)
	case o.early:
		e.fallBehind(o.since)
		// A newer version waits only if the receiver asked for it.
		at := e.notBefore
		if o.edition == e.edition && e.due.After(at) {
			at = e.due
		}
		t.queue.AddAfter(e.key, at.Sub(t.now))
	case o.dead:
		e.fallBehind(o.since)
		t.rest()
	case o.idle:
		if !e.refused {
			e.since, e.lost = time.Time{}, e.lost && e.wish() != noWish
		}
		t.rest()
	}
	return note{}
}

// rest plans no further try of what is newest.
func (t settlement) rest() {
	t.e.due = time.Time{}
	if !t.e.refused {
		t.e.lastError = ""
		t.queue.Forget(t.e.key)
	}
}

func (t settlement) succeeded() note {
	e, o := t.e, t.o
	failures := e.failures
	e.delivered, e.answered = *o.delivered, o.asked
	e.since, e.due, e.notBefore, e.lastError = time.Time{}, time.Time{}, time.Time{}, ""
	e.failures, e.losing, e.refused, e.unknown, e.lost = 0, 0, false, false, false
	t.queue.Forget(e.key)
	t.totals.succeeded(e.delivered.At, e.delivered.Latency)
	t.present(t.e.key)
	if e.woken {
		e.fallBehind(t.Wall())
	}
	n := t.tell(slog.LevelInfo, event.Delivered)
	n.event.Message = fmt.Sprintf("sink %q has %s", t.Name, e.newest(e.delivered.Version))
	if failures > 0 {
		t.nudge()
		n.event.Message += fmt.Sprintf(", after %d failed tries", failures)
	}
	if o.unmarked != nil {
		n.level = slog.LevelWarn
		n.event.Message += fmt.Sprintf("; the ledger could not note it, so that a restart delivers it again: %v", o.unmarked)
	}
	return n
}

func (t settlement) failed() note {
	e, o := t.e, t.o
	e.lastError, e.unknown = o.err.Error(), isUnknownToken(o.err)
	if !o.since.IsZero() {
		e.fallBehind(o.since)
	}
	switch {
	case errors.Is(o.err, ErrAbsent):
		return t.missed()
	case errors.Is(o.err, ErrLater):
		return t.later()
	}
	t.totals.failed(t.Wall(), e.lastError)
	if t.disabled.is() {
		return note{}
	}
	switch {
	case errors.Is(o.err, ErrGone):
		t.disable(byReceiver)
		return t.disabled.gone(t.Name, t.Policy.Attempts, o.err)
	case errors.Is(o.err, ErrRefused):
		return t.refuse()
	}
	return t.retry()
}

// refuse waits for the next version.
func (t settlement) refuse() note {
	e := t.e
	t.absence.remove(e.key, t.now, t.queue)
	e.refused, e.due, e.answered = true, time.Time{}, t.o.asked
	t.failedAgain()
	level, others := t.complaints.complain(e, t.o.err, t.Policy, t.open)
	n := t.tell(level, event.DeliveryFailed)
	n.event.Message = fmt.Sprintf("sink %q can't take %s: %v; the next version will be tried%s", t.Name, e.newest(e.edition.version), t.o.err, others)
	return n
}

// retry tries again, ever later.
func (t settlement) retry() note {
	e, o := t.e, t.o
	if o.edition != (edition{}) {
		t.present(t.e.key)
	} else { // the store failed: that says nothing of the consumer
		t.absence.remove(e.key, t.now, t.queue)
	}
	after, asked := asked(o.err)
	if asked {
		e.notBefore = t.now.Add(after)
	}
	pause := t.queue.AddRateLimited(e.key, after)
	e.due = t.now.Add(pause)
	t.failedAgain()
	level, others := t.complaints.complain(e, o.err, t.Policy, t.open)
	n := t.tell(level, event.DeliveryFailed)
	n.event.Next = t.Wall().Add(pause)
	n.event.Message = fmt.Sprintf("sink %q did not take %s: %v; trying again in %s%s", t.Name, e.key, o.err, pause.Round(time.Second/10), others)
	return n
}

// failedAgain counts a failure, which may be the one from which on it is an alert.
func (t settlement) failedAgain() {
	t.e.failures++
	if t.e.failures == t.Policy.Attempts || t.e.unknown && t.queue.Failures(t.e.key) == 1 {
		t.nudge()
	}
}

// later waits for as long as the sink wants, which is no failure.
func (t settlement) later() note {
	e := t.e
	e.failures, e.losing, e.lastError = 0, 0, ""
	t.queue.Forget(e.key)
	if t.disabled.is() {
		return note{}
	}
	t.present(t.e.key)
	after, ok := asked(t.o.err)
	if !ok {
		after = t.Policy.Interval
	}
	e.due, e.notBefore = t.now.Add(after), t.now.Add(after)
	t.queue.AddAfter(e.key, after)
	n := t.tell(slog.LevelDebug, event.DeliveryPutOff)
	n.event.Next = t.Wall().Add(after)
	n.event.Message = fmt.Sprintf("sink %q takes %s in %s: %v", t.Name, e.key, after.Round(time.Second), t.o.err)
	return n
}

// missed waits for a consumer that is not running, which is no failure,
// whatever it did before it went.
func (t settlement) missed() note {
	e := t.e
	e.due, e.failures, e.losing = time.Time{}, 0, 0
	t.queue.Forget(e.key)
	if t.disabled.is() || !t.absence.add(e.key, t.o.err.Error(), t.now, t.queue) {
		return note{}
	}
	n := t.tell(slog.LevelInfo, event.SinkAbsent)
	what := "its tokens are delivered"
	if !t.takes(KindToken) {
		what = "it is told"
	}
	n.event.Message = fmt.Sprintf("sink %q waits: %v; %s when it comes", t.Name, t.o.err, what)
	return n
}

// tell is what to tell of the try. It is about an account only if its token was
// on the way, because an alert about it says nothing of what the sink has of it.
func (t settlement) tell(level slog.Level, what event.Type) note {
	e := event.Event{Type: what, Failures: t.e.failures, Max: t.Policy.Attempts}
	if t.e.isToken() {
		e.Account, e.Provider, e.Version = t.e.name, t.o.provider, t.o.edition.version
	}
	return note{level, e}
}
