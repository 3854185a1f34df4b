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
		if again && !w.disabled {
			if _, waits := w.absence.waiting[l]; !waits {
				w.queue.put(l, now)
			}
		}
	}()

	if o.edition != (edition{}) && o.edition != l.edition && !o.early {
		l.edition, l.failures, l.refused, l.lastError = o.edition, 0, false, ""
	}
	switch {
	case o.delivered != nil:
		return w.succeeded(l, o)
	case o.err != nil:
		return w.failed(l, o, now)
	}
	w.absence.remove(l)
	switch {
	case o.unknown:
		if !again {
			delete(w.lanes, l.account)
		}
	case o.early:
		// A newer version waits only if the receiver asked for it.
		at := l.notBefore
		if o.edition == l.edition && l.due.After(at) {
			at = l.due
		}
		w.queue.put(l, at)
	case o.idle:
		l.due = time.Time{}
	}
	return note{}
}

func (w *Worker) succeeded(l *lane, o outcome) note {
	l.delivered = *o.delivered
	l.due, l.notBefore, l.lastError = time.Time{}, time.Time{}, ""
	failures := l.failures
	l.failures = 0
	w.present(l)
	n := w.note(slog.LevelInfo, event.Delivered, l, o)
	n.event.Message = fmt.Sprintf("sink %q has version %d of account %q", w.cfg.Name, l.delivered.Version, l.account)
	if failures > 0 {
		n.event.Message += fmt.Sprintf(", after %d failed tries", failures)
	}
	if o.unmarked != nil {
		n.level = slog.LevelWarn
		n.event.Message += fmt.Sprintf("; the ledger could not note it, so that a restart delivers it again: %v", o.unmarked)
	}
	return n
}

func (w *Worker) failed(l *lane, o outcome, now time.Time) note {
	l.lastError = o.err.Error()
	if w.disabled {
		w.absence.remove(l)
		return note{}
	}
	switch {
	case errors.Is(o.err, ErrGone):
		w.disable()
		n := w.note(slog.LevelError, event.SinkDisabled, l, o)
		n.event.Alert = true
		n.event.Message = fmt.Sprintf("sink %q is disabled: %v; nothing more goes there until the configuration is loaded again", w.cfg.Name, o.err)
		return n

	case errors.Is(o.err, ErrAbsent):
		l.due = time.Time{}
		if !w.absence.add(l, now) {
			return note{}
		}
		n := w.note(slog.LevelInfo, event.SinkAbsent, l, o)
		n.event.Message = fmt.Sprintf("sink %q waits: %v; its tokens are delivered when it comes", w.cfg.Name, o.err)
		return n

	case errors.Is(o.err, ErrRefused):
		w.absence.remove(l)
		l.failures, l.refused, l.due = l.failures+1, true, time.Time{}
		n := w.note(slog.LevelWarn, event.DeliveryFailed, l, o)
		n.event.Message = fmt.Sprintf("sink %q can't take version %d of account %q: %v; the next version will be tried", w.cfg.Name, l.edition.version, l.account, o.err)
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
	w.queue.put(l, l.due)

	level := slog.LevelDebug
	if w.policy.loud(l.failures) {
		level = slog.LevelWarn
	}
	n := w.note(level, event.DeliveryFailed, l, o)
	n.event.Next = w.cfg.Wall().Add(pause)
	n.event.Message = fmt.Sprintf("sink %q did not take account %q: %v; trying again in %s", w.cfg.Name, l.account, o.err, pause.Round(time.Second/10))
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
		if !waiting.inFlight {
			w.queue.put(waiting, now)
		}
	}
}

func (w *Worker) disable() {
	w.disabled = true
	w.queue = nil
	for _, l := range w.lanes {
		l.index, l.due = -1, time.Time{}
	}
	w.absence.over()
}

func (w *Worker) note(level slog.Level, t event.Type, l *lane, o outcome) note {
	return note{level, event.Event{
		Type: t, Account: l.account, Provider: o.provider, Version: o.edition.version,
		Failures: l.failures, Max: w.policy.Attempts,
	}}
}
