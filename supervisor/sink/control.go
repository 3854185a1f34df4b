package sink

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// byReceiver is who disabled a sink whose receiver said that it is gone.
const byReceiver = "the receiver"

// disabled says who disabled the sink, and since when.
type disabled struct {
	by string // "": it is enabled
	at time.Time
}

func (d disabled) is() bool { return d.by != "" }

// nudge says that an alert about the sink may begin or end.
func (w *Worker) nudge() {
	if w.cfg.Events != nil {
		w.cfg.Events.Nudge()
	}
}

// Disable keeps everything from the sink until [Worker.Enable] or the next
// start. What is in flight may still arrive. by says for people who wanted it;
// a sink that is disabled already is by's from now on.
func (w *Worker) Disable(by string) {
	if by == "" {
		by = "a person"
	}
	w.mu.Lock()
	was := w.disabled
	w.disable(by, w.cfg.Wall())
	if was.is() {
		w.disabled.at = was.at
	}
	w.mu.Unlock()
	w.ring()
	if was.is() {
		return
	}
	w.publish(note{slog.LevelWarn, event.Event{
		Type:    event.SinkDisabled,
		Message: fmt.Sprintf("sink %q was disabled by %s; nothing goes there until it is enabled again with: tokenkeeper sinks enable %s", w.cfg.Name, by, w.cfg.Name),
	}})
}

// Enable lets a sink take deliveries again, whoever disabled it, and brings it
// what it missed: the newest only.
func (w *Worker) Enable() {
	w.mu.Lock()
	was := w.disabled
	w.disabled = disabled{}
	w.nudge()
	if was.is() {
		for _, l := range w.lanes {
			l.failures, l.refused, l.lastError, l.due = 0, false, "", time.Time{}
			w.hurry(l)
		}
	}
	if w.lifecycle != nil {
		w.lifecycle.open()
	}
	w.mu.Unlock()
	w.ring()
	if !was.is() {
		return
	}
	w.publish(note{slog.LevelInfo, event.Event{
		Type:    event.Recovered,
		Message: fmt.Sprintf("sink %q is enabled again and gets what it missed; %s had disabled it", w.cfg.Name, was.by),
	}})
}

// disable takes everything off the queues. The caller holds mu.
func (w *Worker) disable(by string, at time.Time) {
	w.disabled = disabled{by, at}
	w.nudge()
	for _, ln := range w.lines {
		ln.queue = nil
	}
	for _, l := range w.lanes {
		l.index, l.due = -1, time.Time{}
	}
	w.absence.over()
	if w.lifecycle != nil {
		w.lifecycle.shut()
	}
}

// goneNote tells that the receiver wants nothing more.
func (w *Worker) goneNote(err error) note {
	return note{slog.LevelError, event.Event{
		Type: event.SinkDisabled, Max: w.policy.Attempts,
		Message: fmt.Sprintf("sink %q is disabled: %v; nothing more goes there until tokenkeeper is restarted or it is enabled with: tokenkeeper sinks enable %s",
			w.cfg.Name, err, w.cfg.Name),
	}}
}

// Redeliver delivers what the sink has already, with the same id, for a
// receiver that lost it: the newest token of an account, an alert by its key,
// or, for "", every account's token and every alert that is not over. It
// returns how many will be delivered, without waiting for that. A restart
// before the delivery forgets the wish.
func (w *Worker) Redeliver(ctx context.Context, account string) (n int, err error) {
	return w.deliverAnew(ctx, account, false)
}

// Overwrite is Redeliver of one account also over a token that the destination
// holds and that nobody here knows.
func (w *Worker) Overwrite(ctx context.Context, account string) (n int, err error) {
	return w.deliverAnew(ctx, account, true)
}

func (w *Worker) deliverAnew(ctx context.Context, account string, force bool) (n int, err error) {
	wished := map[*line][]string{}
	for _, ln := range w.lines {
		items, err := ln.list(ctx)
		if items == nil && err != nil {
			return 0, fmt.Errorf("sink %q: can't read what there is to deliver: %w", w.cfg.Name, err)
		}
		for it := range items {
			if it.key == account || account == "" && !it.over {
				wished[ln] = append(wished[ln], it.key)
				n++
			}
		}
	}
	if n == 0 && account != "" {
		return 0, fmt.Errorf("sink %q gets nothing of %q: no account of that name goes there, or it has no token yet; tokenkeeper status lists the accounts", w.cfg.Name, account)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disabled.is() {
		return 0, fmt.Errorf("sink %q was disabled by %s: enable it first with: tokenkeeper sinks enable %s", w.cfg.Name, w.disabled.by, w.cfg.Name)
	}
	for ln, keys := range wished {
		for _, key := range keys {
			l := w.lane(ln, key)
			l.asked++
			if force {
				l.forced = l.asked
			}
			l.due = time.Time{}
			w.hurry(l)
		}
	}
	w.ring()
	return n, nil
}
