package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
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
	// Shape is what [ShapeOf] says of its configuration.
	Shape []string
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

// ReadBack is when a sink that is a [Holder] is asked what it holds.
type ReadBack struct {
	// BeforeWriting says whether it is asked before rec is written over what it
	// holds; nil: never.
	BeforeWriting func(rec store.Record) bool
	// Unread: what can't be read then is not written over, but read again at the next
	// try. Otherwise that it can't be read fails nothing.
	Unread bool
	// Regularly: also at each [Worker.Look], which costs a look at each file, or a
	// question about each account.
	Regularly bool
	// Ours is what is known of an account beside its record; nil: nothing.
	Ours func(account string) lineage.Ours
	// Found is told of an account of which the destination holds a token that
	// is to be used instead of ours. It must not block; nil: nobody is told.
	Found func(account string)
}

// AlertSource is where a worker finds the newest state of each alert. An alert
// stays there after it is over, until every sink that wants it had time to be
// told. Both methods must be safe for concurrent use.
type AlertSource interface {
	// Alerts returns every alert, ordered by key.
	Alerts(ctx context.Context) ([]event.Alert, error)
	// Alert returns one; ok is false if there is none of that key.
	Alert(ctx context.Context, key string) (a event.Alert, ok bool, err error)
}

func (c WorkerConfig) withDefaults() WorkerConfig {
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.MaxConcurrent <= 0 {
		c.MaxConcurrent = 4
	}
	if len(c.Kinds) == 0 {
		c.Kinds = []Kind{KindToken}
	}
	c.Policy = c.Policy.withDefaults()
	return c
}
