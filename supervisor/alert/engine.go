package alert

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
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
	// Told says whether every sink that takes the alert has been told of this
	// version.
	Told func(ctx context.Context, a event.Alert) bool
	// Events is told of what no other room has told: of alerts that a look at
	// how things stand has raised, of those that last, and of ends.
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
	open map[string]*entry
	// groups are the members of the group alerts that last, by key.
	groups map[string]*group
	// last is the highest version that any alert had.
	last uint64
}

// entry is one alert that the store holds, or should.
type entry struct {
	event.Alert
	// shown is what sinks see: the newest state that is durable, or that could
	// not be made durable. Its Version is 0 if there is none yet.
	shown event.Alert
	// unsaved: the store does not have the newest state yet.
	unsaved bool
}

// forgottenAfter is how long an alert that is over waits for the sinks that
// have not been told.
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
		news: newObserved(), open: map[string]*entry{}, groups: map[string]*group{},
	}
	stored, err := cfg.Store.Alerts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the alerts that were open: %w", err)
	}
	for _, a := range stored {
		e.open[a.Key] = &entry{Alert: a, shown: a}
		e.last = max(e.last, a.Version)
		if !isGroup(a) {
			e.news.resume(a)
		} else if e.open[a.Key].lasts() {
			e.groups[a.Key] = newGroup()
			e.groups[a.Key].resumed = true
		}
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

// Alerts returns every alert, ordered by key. One that is over stays until
// every sink was told.
func (e *Engine) Alerts(context.Context) ([]event.Alert, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]event.Alert, 0, len(e.open))
	for _, key := range slices.Sorted(maps.Keys(e.open)) {
		if a := e.open[key].shown; a.Version > 0 {
			all = append(all, a)
		}
	}
	return all, nil
}

// Alert returns one alert; ok is false if there is none of that key.
func (e *Engine) Alert(_ context.Context, key string) (a event.Alert, ok bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if entry, ok := e.open[key]; ok && entry.shown.Version > 0 {
		return entry.shown, true, nil
	}
	return event.Alert{}, false, nil
}

// evaluate compares how things stand with what people know, and tells them. It
// returns how long the comparison took.
func (e *Engine) evaluate(ctx context.Context) (looked time.Duration) {
	began := time.Now()
	heard := e.listen()
	snapshot := e.cfg.Snapshot()
	snapshot.Seen = heard.seen
	now := snapshot.Now
	conditions := conditionsOf(snapshot, e.cfg.Policy, e.asked(now))

	e.mu.Lock()
	e.group(conditions, &snapshot)
	for key := range e.open {
		if _, ok := conditions[key]; !ok {
			conditions[key] = e.open[key].gone()
		}
	}
	var changed []event.Alert
	for _, key := range e.concerned(conditions) {
		if a, ok := e.step(key, conditions[key], now); ok {
			changed = append(changed, a)
		}
	}
	e.endGroups()
	e.mu.Unlock()
	looked = time.Since(began)

	for _, a := range changed {
		e.tell(a, heard)
	}
	for key, seen := range heard.seen {
		if conditions[key].State == Off {
			e.forget(key, seen.At)
		}
	}
	e.save(ctx)
	e.drop(ctx, now)
	return looked
}

// concerned are the keys of the conditions that may change an alert, in order.
func (e *Engine) concerned(cs conditions) (keys []string) {
	for key, c := range cs {
		if e.open[key] != nil || c.State == On && !c.Grouped {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// lasts says whether there is an alert that is not over.
func (n *entry) lasts() bool { return n != nil && n.State != event.AlertRecovered }

// gone is the condition of something that is not configured any more.
func (n *entry) gone() Condition {
	return Condition{
		Type: n.Type, Account: n.Account, Provider: n.Provider, Sink: n.Sink, State: Off,
		Group: isGroup(n.Alert), Accounts: n.Accounts,
		What: fmt.Sprintf("%s is not in the configuration any more", subject(n.Account, n.Provider, n.Sink)),
	}
}

// step brings one alert to its condition; ok says whether there is something to
// tell. The caller holds e.mu.
func (e *Engine) step(key string, c Condition, now time.Time) (a event.Alert, ok bool) {
	n := e.open[key]
	lasts := n.lasts()
	switch {
	case c.State == On && c.Grouped:
		return event.Alert{}, false
	case c.State == On && !lasts:
		if n == nil {
			n = &entry{}
			e.open[key] = n
		}
		n.Alert = event.Alert{
			Key: key, Type: c.Type, Account: c.Account, Provider: c.Provider, Sink: c.Sink,
			State: event.AlertRaised, Version: n.Version, Since: now, Message: c.raised(), Accounts: c.Accounts,
		}
	case c.State == On && e.cfg.Policy.Repeat > 0 && elapsed(n.ChangedAt, now, e.cfg.Policy.Repeat):
		n.State, n.Message, n.Accounts = event.AlertRepeated, c.repeated(n.Since), c.Accounts
	case lasts && c.over(n.Since):
		n.State, n.Accounts = event.AlertRecovered, c.Accounts
		n.Message = c.recovered(n.Since, now)
	default:
		return event.Alert{}, false
	}
	// However often an alert was forgotten, or could not be stored before the
	// process died: no version is ever used twice.
	e.last = max(e.last+1, uint64(max(now.UnixMilli(), 0)))
	n.Version, n.ChangedAt, n.unsaved = e.last, now.UTC().Round(0), true
	n.Since = n.Since.UTC().Round(0)
	return n.Alert, true
}

// elapsed says whether d has passed since then, also by a clock that was set
// back.
func elapsed(then, now time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= d || age < -clockTolerance
}

// tell publishes an alert's new state, unless the room that met the trouble has
// just done so.
func (e *Engine) tell(a event.Alert, heard observed) {
	ev := event.Event{
		Type: a.Type, Alert: true, State: a.State,
		Account: a.Account, Provider: a.Provider, Sink: a.Sink, Message: a.Message,
	}
	level := slog.LevelError
	switch a.State {
	case event.AlertRaised:
		if heard.told[a.Key] {
			return
		}
	case event.AlertRepeated:
		level = slog.LevelWarn
	case event.AlertRecovered:
		if _, about, _ := strings.Cut(a.Key, ":"); heard.ended[about] {
			return
		}
		level, ev.Type, ev.Alert = slog.LevelInfo, event.Recovered, false
	}
	e.cfg.Events.Publish(level, ev)
}
