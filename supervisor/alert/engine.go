package alert

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Store is what the Engine needs of [store.Store].
//
// [store.Store]: https://pkg.go.dev/github.com/tokenkeeper/tokenkeeper/supervisor/store#Store
type Store interface {
	SaveAlert(ctx context.Context, a event.Alert) error
	Alerts(ctx context.Context) ([]event.Alert, error)
	DropAlert(ctx context.Context, key string) error
}

// Config of an [Engine]. All but Log must be set.
type Config struct {
	Store  Store
	Policy Policy
	// Snapshot says how things stand. It must not call the Engine.
	Snapshot func() Snapshot
	// Wake tells the sinks that an alert has a new state. It must not block.
	Wake func(key string)
	// Told says whether every sink has been told of what it may see of the
	// alert, see [Narrow].
	Told func(ctx context.Context, a event.Alert) bool
	// Events is told of what a look has found: of alerts that begin, of those
	// that last, and of ends.
	Events *event.Bus
	Log    *slog.Logger
}

// Engine raises, repeats and ends the alerts. It has no timer: it looks when an
// event tells of trouble or of what may be its end, and when [Engine.Look] is called, which
// should be twice a minute. It is safe for concurrent use.
type Engine struct {
	cfg    Config
	wake   chan struct{}
	saving chan struct{} // holds a value while the store is written to

	inbox sync.Mutex
	news  observed

	mu   sync.Mutex
	open map[string]*trouble
	// last is the highest version that any alert had, and look counts.
	last, look uint64
}

// forgottenAfter is how long what is over waits for the sinks that have not
// been told.
const forgottenAfter = 24 * time.Hour

// A look is followed by a pause of lookShare times as long as it took, up to
// lookPause: when a broker fails, each of its thousand accounts asks for a look.
const (
	lookShare = 10
	lookPause = 5 * time.Second
)

// New reads the alerts of an earlier run.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		cfg: cfg, wake: make(chan struct{}, 1), saving: make(chan struct{}, 1),
		news: newObserved(), open: map[string]*trouble{},
	}
	stored, err := cfg.Store.Alerts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the alerts that were open: %w", err)
	}
	for _, a := range stored {
		e.last = max(e.last, a.Version)
		if earlierForm(a) {
			e.adopt(ctx, a)
			continue
		}
		n := restored(a)
		e.open[a.Key] = n
		e.news.resume(n)
	}
	return e, nil
}

// Look has the Engine see how things stand. It never blocks.
func (e *Engine) Look() { e.signal() }

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run evaluates until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	for {
		looked := e.evaluate(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(lookShare*looked, lookPause)):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		}
	}
}

// evaluate compares how things stand with what people know, and tells them. It
// returns how long the comparison took.
func (e *Engine) evaluate(ctx context.Context) (looked time.Duration) {
	began := time.Now()
	heard := e.listen()
	snapshot := e.cfg.Snapshot()
	snapshot.Seen = heard.seen

	e.mu.Lock()
	conditions := conditionsOf(snapshot, e.cfg.Policy, e.watched())
	changed := e.compare(conditions, snapshot.Now)
	e.mu.Unlock()
	looked = time.Since(began)

	for _, a := range changed {
		e.tell(a, heard)
	}
	for _, c := range conditions {
		if key := Key(c.Type, c.Account, c.Provider, c.Sink); c.State == Off {
			if seen, ok := heard.seen[key]; ok {
				e.forget(key, seen.At)
			}
		}
	}
	e.save(ctx)
	e.drop(ctx, snapshot.Now)
	return looked
}

// watched says which accounts have to be looked at even if they seem to be
// well. The caller holds e.mu.
func (e *Engine) watched() func(*Account) bool {
	accounts := map[string]bool{}
	for _, n := range e.open {
		for name, m := range n.members {
			if m.lasts() {
				accounts[name] = true
			}
		}
	}
	if len(accounts) == 0 {
		return func(*Account) bool { return false }
	}
	return func(a *Account) bool { return accounts[a.Name] }
}

// compare brings every alert to the conditions, and returns those of which
// there is something to tell. The caller holds e.mu.
func (e *Engine) compare(conditions []Condition, now time.Time) (changed []*event.Alert) {
	e.look++
	for _, c := range conditions {
		key := c.key()
		n := e.open[key]
		if n == nil {
			if c.State != On {
				continue
			}
			n = newTrouble(c)
			e.open[key] = n
		}
		n.take(c, now, e.look)
	}
	for key, n := range e.open {
		n.leave(now, e.look)
		if what := n.due(now, e.cfg.Policy.Repeat); what != nothing {
			// However often an alert was forgotten, or could not be stored before
			// the process died: no version is ever used twice.
			e.last = max(e.last+1, uint64(max(now.UnixMilli(), 0)))
			n.advance(what, e.last, now)
			changed = append(changed, n.newest)
		}
		if n.newest == nil { // it ended before anybody was told
			delete(e.open, key)
		}
	}
	return changed
}

// tell publishes an alert's new state, unless it is no news to who follows
// everything, or the room that met the trouble has just done so.
func (e *Engine) tell(whole *event.Alert, heard observed) {
	a, _ := Narrow(*whole, nil)
	if a.Version != whole.Version {
		return
	}
	ev := event.Event{
		Type: a.Type, Alert: true, State: a.State,
		Account: a.Account, Provider: a.Provider, Sink: a.Sink, Message: a.Message,
	}
	level := slog.LevelError
	single := a.Accounts <= 1
	switch a.State {
	case event.AlertRaised:
		if single && heard.told[Key(a.Type, a.Account, a.Provider, a.Sink)] {
			return
		}
	case event.AlertRepeated:
		level = slog.LevelWarn
	case event.AlertRecovered:
		if single && heard.ended[subject(a.Account, a.Provider, a.Sink)] {
			return
		}
		level, ev.Type, ev.Alert = slog.LevelInfo, event.Recovered, false
	}
	e.cfg.Events.Publish(level, ev)
}
