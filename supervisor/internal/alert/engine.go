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
	DropAlert(ctx context.Context, key string, version uint64) error
}

// Config of an [Engine]. All but Some and Log must be set.
type Config struct {
	Store  Store
	Policy Policy
	// Snapshot says how things stand, see there; at the first call, of all
	// accounts. It must not call the Engine.
	Snapshot func(asked map[string]bool) Snapshot
	// Wake tells the sinks that an alert has a new state. It must not block.
	Wake func(key string)
	// Told says whether every sink has been told of what it may see of the
	// alert, see [Narrow].
	Told func(ctx context.Context, a event.Alert) bool
	// Some are what those sinks want that are not told of every account.
	Some []Wants
	// Events is told of alerts that begin, of those that last, and of ends. A
	// look follows each [event.Bus.Nudge].
	Events *event.Bus
	Log    *slog.Logger
}

// Engine raises, repeats and ends the alerts. It has no timer: it looks when the
// bus is nudged, which should be twice a minute at least, and whenever a trouble
// begins or may be over. It is safe for concurrent use.
type Engine struct {
	cfg    Config
	saving chan struct{} // holds a value while the store is written to

	mu     sync.Mutex
	groups map[key]*group
	// doubtful are the accounts that were not well at the last look.
	doubtful map[string]bool
	// last is the highest version that any alert had, and look counts.
	last, look uint64
	// looked is when the newest look was, by the snapshot's clock.
	looked time.Time
}

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
	e := &Engine{cfg: cfg, saving: make(chan struct{}, 1), groups: map[key]*group{}}
	stored, err := cfg.Store.Alerts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the alerts that were open: %w", err)
	}
	for _, a := range stored {
		e.last = max(e.last, a.Version)
		if of := (key{a.Type, a.Provider, a.Sink}); a.Key == of.String() && len(a.Affected) > 0 {
			e.groups[of] = resumed(a)
		} else if err := cfg.Store.DropAlert(ctx, a.Key, a.Version); err != nil { // it has another form, and is raised anew
			cfg.Log.Debug("an alert of another version could not be dropped; the next start tries again", "key", a.Key, "error", err)
		}
	}
	return e, nil
}

// Carried are the facts behind the alerts of an earlier run: in this one, no room
// knows of them. The newest that is known of each is when people were told.
func (e *Engine) Carried() (all []event.Fact) {
	for _, g := range e.groups {
		for name, m := range g.members {
			if m.lasts() && g.head.Type.Fades() > 0 {
				all = append(all, event.Fact{
					Type: g.head.Type, Provider: g.head.Provider, Account: name, Since: m.Since, At: g.toldAt(m.Version), What: m.Message,
				})
			}
		}
	}
	return all
}

// Follow has the engine go by another configuration from its next look on: Config.Policy
// and Config.Some.
func (e *Engine) Follow(p Policy, some []Wants) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cfg.Policy, e.cfg.Some = p, some
}

// Run evaluates until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	for {
		looked := e.evaluate(ctx)
		paused := time.Now().Add(min(lookShare*looked, lookPause))
		select {
		case <-ctx.Done():
			return nil
		case <-e.cfg.Events.Nudged():
		}
		left := time.Until(paused)
		if left <= 0 {
			continue // without a timer, which would wake an idle supervisor once more
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(left):
		}
		select {
		case <-e.cfg.Events.Nudged(): // the look that comes now sees that, too
		default:
		}
	}
}

// evaluate compares how things stand with what people know, and tells them. It
// returns how long the comparison took.
func (e *Engine) evaluate(ctx context.Context) (looked time.Duration) {
	began := time.Now()
	e.mu.Lock()
	asked := e.asked()
	e.mu.Unlock()
	snapshot := e.cfg.Snapshot(asked)
	e.mu.Lock()
	changed := e.compare(&snapshot, asked)
	e.looked = snapshot.Now
	e.mu.Unlock()
	looked = time.Since(began)

	for _, n := range changed {
		e.tell(n)
	}
	e.save(ctx, snapshot.StoreFault != "")
	e.drop(ctx, snapshot.Now)
	return looked
}

// asked are the accounts that have to be looked at even if nothing has changed
// of them: time may begin or end an alert. The caller holds e.mu.
func (e *Engine) asked() map[string]bool {
	accounts := maps.Clone(e.doubtful)
	if accounts == nil {
		accounts = map[string]bool{}
	}
	for _, g := range e.groups {
		for name, m := range g.members {
			if m.lasts() {
				accounts[name] = true
			}
		}
	}
	return accounts
}

// compare brings every alert to how things stand, and returns those of which
// there is something to tell. The caller holds e.mu.
func (e *Engine) compare(s *Snapshot, asked map[string]bool) (changed []news) {
	e.look++
	now := s.Now.UTC().Round(0)
	e.doubtful = s.doubtful(e.cfg.Policy)
	s.conditions(e.cfg.Policy, asked, func(c Condition) {
		g := e.groups[c.key()]
		if g == nil {
			if c.State != On {
				return
			}
			g = &group{head: event.Alert{Key: c.key().String(), Type: c.Type, Provider: c.Provider, Sink: c.Sink}, members: map[string]*member{}}
			e.groups[c.key()] = g
		}
		g.take(c, now, e.look)
	})
	for _, g := range e.groups {
		g.leave(now, e.look)
		if what := g.due(now, e.cfg.Policy.Repeat, e.cfg.Some); what != nothing {
			// However often an alert was forgotten, or could not be stored before
			// the process died: no version is ever used twice.
			e.last = max(e.last+1, uint64(max(now.UnixMilli(), 0)))
			g.advance(what, e.last, now)
			changed = append(changed, news{g.newest, g.head.Type.Announced() && !g.unannounced})
			g.unannounced = false
		}
	}
	return changed
}

// news is an alert's new state. announced: the log has the trouble from who met it.
type news struct {
	alert     *event.Alert
	announced bool
}

// tell publishes an alert's new state, unless it is no news to who follows
// everything. Where the log has the trouble from who met it, it is not told there
// a second time.
func (e *Engine) tell(n news) {
	a, _ := Narrow(*n.alert, nil)
	if a.Version != n.alert.Version {
		return
	}
	ev := event.Event{
		Type: a.Type, Alert: true, State: a.State,
		Account: a.Account, Provider: a.Provider, Sink: a.Sink, Message: a.Message,
	}
	level := slog.LevelWarn
	switch {
	case a.State == event.AlertRecovered:
		level, ev.Type, ev.Over, ev.Alert = slog.LevelInfo, event.Recovered, a.Type, false
	case a.State == event.AlertRaised && n.announced:
		level = slog.LevelDebug
	case a.State == event.AlertRaised:
		level = slog.LevelError
	}
	e.cfg.Events.Publish(level, ev)
}

// find returns the alert of a key, and nil if there is none. The caller holds
// e.mu.
func (e *Engine) find(name string) *group {
	for _, g := range e.groups {
		if g.head.Key == name {
			return g
		}
	}
	return nil
}

// all are the alerts, ordered by key. The caller holds e.mu.
func (e *Engine) all() []*group {
	return slices.SortedFunc(maps.Values(e.groups), func(x, y *group) int { return strings.Compare(x.head.Key, y.head.Key) })
}
