package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Store is what a worker needs of [store.Store].
type Store interface {
	Load(ctx context.Context, account string) (store.Record, error)
	Heads(ctx context.Context) ([]store.Head, error)
	MarkDelivered(ctx context.Context, d store.Delivery) error
	MarkTried(ctx context.Context, t store.Tried) error
	Delivery(ctx context.Context, sink, account string) (store.Delivery, error)
}

// WorkerConfig is one sink and what goes there.
type WorkerConfig struct {
	// Name and Type as configured.
	Name, Type string
	Sink       Sink
	// Kinds of what is sent there; empty: tokens. Whatever else there is needs
	// a Sink that is a [Notifier]; [CheckWorker] tells.
	Kinds []Kind
	// Accounts whose tokens and lifecycle events go there; nil: all. If it is
	// empty, none: what matches nothing must not get everybody's tokens.
	Accounts []string
	// Alerts are where alerts come from, and WantsAlert says which of them go
	// there; nil: all. Both matter only with KindAlert.
	Alerts     AlertSource
	WantsAlert func(event.Alert) bool
	// IncludeRefreshToken lets the sink see the refresh token, the ID token
	// and the client's credentials. Without it they do not reach the sink.
	IncludeRefreshToken bool
	Store               Store
	// Credentials returns an account's client id and secret, for formats that
	// carry them. It is called only with IncludeRefreshToken; nil: none.
	Credentials func(account string) (clientID string, clientSecret sdk.Secret)
	Policy      RetryPolicy
	Events      *event.Bus
	// Wall is the wall clock; nil: time.Now.
	Wall func() time.Time
	// MaxConcurrent bounds the deliveries of tokens and alerts in flight; 0:
	// 4. Lifecycle events go one at a time beside them.
	MaxConcurrent int
	// ReadBack is for a sink that is a [Holder].
	ReadBack ReadBack
}

func (c WorkerConfig) takes(k Kind) bool { return slices.Contains(c.Kinds, k) }

// CheckWorker says what is wrong with a sink's configuration before anything
// starts.
func CheckWorker(c WorkerConfig) error {
	var errs []error
	_, notifies := c.Sink.(Notifier)
	for _, k := range c.Kinds {
		switch {
		case k != KindToken && k != KindAlert && k != KindLifecycle:
			errs = append(errs, fmt.Errorf("sink %q: there is no kind of event %q; use %s, %s or %s", c.Name, k, KindToken, KindAlert, KindLifecycle))
		case k != KindToken && !notifies:
			errs = append(errs, fmt.Errorf("sink %q: a sink of type %q takes tokens only; remove %q from its events", c.Name, c.Type, k))
		case k == KindAlert && c.Alerts == nil:
			errs = append(errs, fmt.Errorf("sink %q is to get alerts, and nothing here raises any; please report it", c.Name))
		}
	}
	return errors.Join(errs...)
}

// Worker brings every newest token, and every alert's newest state, to one
// sink. Each sink has a worker of its own, so that a sink that hangs is felt by
// nobody else.
//
// It never holds a token that waits: a wake, or a retry, reads the newest
// record from the store. As an account's deliveries never overlap, nothing old
// is delivered after something newer. The same goes for alerts. Lifecycle
// events are told one by one, as far as they fit into memory.
type Worker struct {
	cfg    WorkerConfig
	policy RetryPolicy
	takes  map[string]bool // nil: every account

	// tokens and alerts are the lines of this sink, nil for what does not go
	// there; lines has those that are not nil, the most urgent first.
	tokens, alerts *line
	lines          []*line
	lifecycle      *lifecycle // nil: no lifecycle events go there

	gates gates

	wakeMu sync.Mutex
	woken  map[string]*line
	wake   chan struct{}

	// mu guards what follows and the lines' queues and resting. It is never
	// held while something is waited for.
	mu sync.Mutex
	// lanes of which there is something to do or to tell; the others rest.
	lanes     map[string]*lane
	standing  standing
	spokesmen spokesmen
	absence   absence
	inFlight  int
	disabled  disabled
	totals    totals

	looks chan struct{}
}

// NewWorker returns a worker that does nothing until [Worker.Run]. cfg has
// passed [CheckWorker].
func NewWorker(cfg WorkerConfig) *Worker {
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 4
	}
	if len(cfg.Kinds) == 0 {
		cfg.Kinds = []Kind{KindToken}
	}
	w := &Worker{
		cfg:       cfg,
		policy:    cfg.Policy.withDefaults(),
		woken:     map[string]*line{},
		wake:      make(chan struct{}, 1),
		lanes:     map[string]*lane{},
		spokesmen: spokesmen{},
		looks:     make(chan struct{}, 1),
	}
	if cfg.takes(KindAlert) && cfg.Alerts != nil {
		w.alerts = &line{kind: KindAlert, source: alerts{w}}
		w.lines = append(w.lines, w.alerts)
	}
	if cfg.takes(KindToken) {
		w.tokens = &line{kind: KindToken, source: tokens{w}}
		w.lines = append(w.lines, w.tokens)
	}
	if cfg.takes(KindLifecycle) {
		w.lifecycle = newLifecycle()
	}
	if cfg.Accounts != nil {
		w.takes = map[string]bool{}
		for _, a := range cfg.Accounts {
			w.takes[a] = true
		}
	}
	return w
}

// Name of the sink.
func (w *Worker) Name() string { return w.cfg.Name }

// Type of the sink.
func (w *Worker) Type() string { return w.cfg.Type }

// Takes says whether the account's tokens go to this sink.
func (w *Worker) Takes(account string) bool { return w.tokens != nil && w.concerns(account) }

func (w *Worker) concerns(account string) bool { return w.takes == nil || w.takes[account] }

// Wake says that the account may have a newer record. It never blocks, and
// costs nothing for an account that does not go here.
func (w *Worker) Wake(account string) {
	if w.Takes(account) {
		w.wakeUp(w.tokens, account)
	}
}

// WakeAlert says that the alert with this key may have a newer state. It never
// blocks, and costs nothing for a sink that gets no alerts.
func (w *Worker) WakeAlert(key string) {
	if w.alerts != nil {
		w.wakeUp(w.alerts, key)
	}
}

func (w *Worker) wakeUp(ln *line, key string) {
	w.wakeMu.Lock()
	w.woken[key] = ln
	w.wakeMu.Unlock()
	w.ring()
}

func (w *Worker) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// takeWoken returns what was woken since the last call.
func (w *Worker) takeWoken() map[string]*line {
	w.wakeMu.Lock()
	defer w.wakeMu.Unlock()
	if len(w.woken) == 0 {
		return nil
	}
	woken := w.woken
	w.woken = map[string]*line{}
	return woken
}
