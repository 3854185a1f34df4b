package alert

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// View is the alerts as one sink sees them.
type View struct {
	e     *Engine
	wants Wants
}

// For is what a sink sees that may know the accounts that it wants.
func (e *Engine) For(wants Wants) View { return View{e, wants} }

// Alerts returns what the sink may see, ordered by key. What is over stays
// until every sink was told.
func (v View) Alerts(context.Context) (seen []event.Alert, err error) {
	v.e.mu.Lock()
	var all []*event.Alert
	for _, g := range v.e.all() {
		all = append(all, g.shown)
	}
	v.e.mu.Unlock()
	for _, whole := range all {
		if a, ok := v.narrow(whole); ok {
			seen = append(seen, a)
		}
	}
	return seen, nil
}

// Alert returns one; ok is false if there is none of that key for the sink.
func (v View) Alert(_ context.Context, key string) (a event.Alert, ok bool, err error) {
	v.e.mu.Lock()
	var whole *event.Alert
	if g := v.e.find(key); g != nil {
		whole = g.shown
	}
	v.e.mu.Unlock()
	a, ok = v.narrow(whole)
	return a, ok, nil
}

func (v View) narrow(whole *event.Alert) (event.Alert, bool) {
	if whole == nil {
		return event.Alert{}, false
	}
	a, ok := Narrow(*whole, v.wants)
	a.Affected = a.Affected[:min(len(a.Affected), listed)]
	return a, ok
}

// Alerts returns every alert that sinks may see, with the whole list as it is at
// the newest look, ordered by key. One that is over stays until every sink was
// told.
func (e *Engine) Alerts(context.Context) (all []event.Alert, err error) {
	e.mu.Lock()
	var wholes []*event.Alert
	for _, g := range e.all() {
		if g.shown != nil {
			wholes = append(wholes, g.whole())
		}
	}
	e.mu.Unlock()
	for _, whole := range wholes {
		a, _ := Narrow(*whole, nil)
		all = append(all, a)
	}
	return all, nil
}

// Looked is when it was looked last how everything stands; zero: not yet.
func (e *Engine) Looked() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.looked
}

// Lasting is how many alerts there are whose trouble lasts.
func (e *Engine) Lasting() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, g := range e.groups {
		if g.lasts() {
			n++
		}
	}
	return n
}

// ErrNotOpen is of an alert that nobody can hush.
type ErrNotOpen struct{ Key string }

func (e ErrNotOpen) Error() string { return fmt.Sprintf("no alert %q is open", e.Key) }

// Acknowledge keeps an alert from being repeated: somebody is at it. More
// accounts, and its end, are told.
func (e *Engine) Acknowledge(ctx context.Context, key string) (event.Alert, error) {
	return e.hush(ctx, key, &event.Hush{At: time.Now().UTC()})
}

// Silence keeps everything of an alert but its end from the sinks until then,
// when it is told again if it still lasts.
func (e *Engine) Silence(ctx context.Context, key string, until time.Time) (event.Alert, error) {
	return e.hush(ctx, key, &event.Hush{At: time.Now().UTC(), Until: until.UTC()})
}

// Resume takes an acknowledgement or a silence back.
func (e *Engine) Resume(ctx context.Context, key string) (event.Alert, error) {
	return e.hush(ctx, key, nil)
}

// hush is durable when it returns. After an error it holds all the same, as long
// as this process lives and maybe longer.
func (e *Engine) hush(ctx context.Context, key string, h *event.Hush) (event.Alert, error) {
	e.mu.Lock()
	g := e.find(key)
	if !g.lasts() {
		e.mu.Unlock()
		return event.Alert{}, ErrNotOpen{key}
	}
	g.head.Hush = h
	hushed := *g.newest
	hushed.Hush = h
	g.newest = &hushed
	e.mu.Unlock()
	e.save(ctx, false)
	e.cfg.Events.Nudge()
	a, _ := Narrow(hushed, nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	if g.stored != g.newest && g.newest == &hushed {
		return a, fmt.Errorf("alert %s: it is hushed, but that could not be stored yet; it is tried again, and a restart before that forgets it", key)
	}
	return a, nil
}
