package alert

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

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
	n := e.open[key]
	if !n.lasts() {
		e.mu.Unlock()
		return event.Alert{}, ErrNotOpen{key}
	}
	n.head.Hush = h
	hushed := *n.newest
	hushed.Hush = h
	n.newest = &hushed
	e.mu.Unlock()
	e.save(ctx)
	e.cfg.Events.Nudge()
	e.mu.Lock()
	defer e.mu.Unlock()
	a, _ := Narrow(hushed, nil)
	if n.stored != n.newest && n.newest == &hushed {
		return a, fmt.Errorf("alert %s: it is hushed, but that could not be stored yet; it is tried again, and a restart before that forgets it", key)
	}
	return a, nil
}
