package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// settle draws the consequences of one try and returns what to tell.
func (w *Worker) settle(o outcome) note {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, now := o.lane, time.Now()
	l.inFlight = false
	w.inFlight--
	again := l.again
	l.again = false
	defer func() {
		if again {
			w.hurry(l)
		}
		w.standing.note(l)
	}()

	if o.edition != (edition{}) && o.edition != l.edition && !o.early {
		l.edition, l.failures, l.refused, l.lastError = o.edition, 0, false, ""
	}
	switch {
	case o.delivered != nil:
		n := w.succeeded(l, o)
		if again {
			l.fallBehind(w.cfg.Wall())
		}
		return n
	case o.err != nil:
		return w.failed(l, o, now)
	}
	w.absence.remove(l)
	switch {
	case o.unknown:
		if !again {
			w.forget(l)
		}
	case o.early:
		l.fallBehind(o.since)
		// A newer version waits only if the receiver asked for it.
		at := l.notBefore
		if o.edition == l.edition && l.due.After(at) {
			at = l.due
		}
		if !w.disabled.is() {
			l.put(at)
		}
	case o.idle:
		l.due = time.Time{}
		if !l.refused {
			l.since, l.failures, l.lastError = time.Time{}, 0, ""
		}
	}
	return note{}
}

func (w *Worker) succeeded(l *lane, o outcome) note {
	l.delivered, l.answered = *o.delivered, o.asked
	l.since, l.due, l.notBefore, l.lastError = time.Time{}, time.Time{}, time.Time{}, ""
	failures := l.failures
	l.failures, l.losing, l.refused, l.unknown = 0, 0, false, false
	w.totals.succeeded(l.delivered.At, l.delivered.Latency)
	w.present(l)
	n := w.note(slog.LevelInfo, event.Delivered, l, o)
	n.event.Message = fmt.Sprintf("sink %q has %s", w.cfg.Name, l.newest(l.delivered.Version))
	if failures > 0 {
		w.nudge()
		n.event.Message += fmt.Sprintf(", after %d failed tries", failures)
	}
	if o.unmarked != nil {
		n.level = slog.LevelWarn
		n.event.Message += fmt.Sprintf("; the ledger could not note it, so that a restart delivers it again: %v", o.unmarked)
	}
	return n
}

func (w *Worker) failed(l *lane, o outcome, now time.Time) note {
	l.lastError, l.unknown = o.err.Error(), isUnknownToken(o.err)
	if !o.since.IsZero() {
		l.fallBehind(o.since)
	}
	switch {
	case errors.Is(o.err, ErrAbsent):
		return w.missed(l, o, now)
	case errors.Is(o.err, ErrLater):
		return w.putOff(l, o, now)
	}
	w.totals.failed(w.cfg.Wall(), l.lastError)
	if w.disabled.is() {
		w.absence.remove(l)
		return note{}
	}
	switch {
	case errors.Is(o.err, ErrGone):
		w.disable(byReceiver, w.cfg.Wall())
		return w.goneNote(o.err)

	case errors.Is(o.err, ErrRefused):
		w.absence.remove(l)
		l.failures, l.refused, l.due, l.answered = l.failures+1, true, time.Time{}, o.asked
		level, others := w.complaint(l, o.err)
		n := w.note(level, event.DeliveryFailed, l, o)
		n.event.Message = fmt.Sprintf("sink %q can't take %s: %v; the next version will be tried%s", w.cfg.Name, l.newest(l.edition.version), o.err, others)
		return n
	}

	if o.edition != (edition{}) {
		w.present(l)
	} else {
		w.absence.remove(l) // the store failed: that says nothing of the consumer
	}
	l.failures++
	pause := w.policy.pause(l.failures, rand.Float64())
	if after, ok := asked(o.err); ok {
		pause = max(pause, after)
		l.notBefore = now.Add(after)
	}
	l.due = now.Add(pause)
	l.put(l.due)

	if l.unknown && l.failures == 1 {
		w.nudge()
	}
	level, others := w.complaint(l, o.err)
	n := w.note(level, event.DeliveryFailed, l, o)
	n.event.Next = w.cfg.Wall().Add(pause)
	n.event.Message = fmt.Sprintf("sink %q did not take %s: %v; trying again in %s%s", w.cfg.Name, l.subject(), o.err, pause.Round(time.Second/10), others)
	return n
}

// putOff lets the lane wait for as long as the sink wants, which is no failure.
func (w *Worker) putOff(l *lane, o outcome, now time.Time) note {
	l.failures, l.losing, l.lastError = 0, 0, ""
	if w.disabled.is() {
		w.absence.remove(l)
		return note{}
	}
	w.present(l)
	after, ok := asked(o.err)
	if !ok {
		after = w.policy.Interval
	}
	l.due, l.notBefore = now.Add(after), now.Add(after)
	l.put(l.due)
	n := w.note(slog.LevelDebug, event.DeliveryPutOff, l, o)
	n.event.Next = w.cfg.Wall().Add(after)
	n.event.Message = fmt.Sprintf("sink %q takes %s in %s: %v", w.cfg.Name, l.subject(), after.Round(time.Second), o.err)
	return n
}

// missed lets the lane wait for a consumer that is not running, which is no
// failure, whatever it did before it went.
func (w *Worker) missed(l *lane, o outcome, now time.Time) note {
	l.due, l.failures, l.losing = time.Time{}, 0, 0
	if w.disabled.is() {
		w.absence.remove(l)
		return note{}
	}
	w.absence.why = o.err.Error()
	if !w.absence.add(l, now) {
		return note{}
	}
	n := w.note(slog.LevelInfo, event.SinkAbsent, l, o)
	what := "its tokens are delivered"
	if w.tokens == nil {
		what = "it is told"
	}
	n.event.Message = fmt.Sprintf("sink %q waits: %v; %s when it comes", w.cfg.Name, o.err, what)
	return n
}

// present ends an absence: whoever waited gets its turn.
func (w *Worker) present(l *lane) {
	if w.absence.present() {
		return
	}
	w.absence.remove(l)
	now := time.Now()
	for _, waiting := range w.absence.over() {
		if !waiting.inFlight && !w.disabled.is() {
			waiting.put(now)
		}
	}
}

// subject is the lane's thing for people.
func (l *lane) subject() string {
	if l.line.kind == KindAlert {
		return fmt.Sprintf("alert %q", l.key)
	}
	return fmt.Sprintf("account %q", l.key)
}

// newest is what is newest of it, for people. The number of an alert's version
// says nothing to them.
func (l *lane) newest(version uint64) string {
	if l.line.kind == KindAlert {
		return "the newest state of " + l.subject()
	}
	return fmt.Sprintf("version %d of %s", version, l.subject())
}

// note is what to tell of a try.
func (w *Worker) note(level slog.Level, t event.Type, l *lane, o outcome) note {
	e := event.Event{Type: t, Failures: l.failures, Max: w.policy.Attempts}
	e.Account, e.Provider, e.Version = about(l, o)
	return note{level, e}
}

// about is whom an event concerns: an account only if its token was on the way,
// because an alert about it says nothing of what the sink has of it.
func about(l *lane, o outcome) (account, provider string, version uint64) {
	if l.line.kind != KindToken {
		return "", "", 0
	}
	return l.key, o.provider, o.edition.version
}
