package sink

import (
	"context"
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
	List(ctx context.Context) ([]store.Record, error)
	MarkDelivered(ctx context.Context, d store.Delivery) error
	Deliveries(ctx context.Context, sink string) (map[string]store.Delivery, error)
}

// WorkerConfig is one sink and what goes there.
type WorkerConfig struct {
	// Name and Type as configured.
	Name, Type string
	Sink       Sink
	// Accounts that go there; empty: all.
	Accounts []string
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
	// MaxConcurrent bounds the deliveries in flight; 0: 4.
	MaxConcurrent int
}

// Status is how an account's deliveries to one sink go.
type Status struct {
	// Version that the sink is known to have, since when, and how long after
	// it became durable it was delivered; zero: none.
	Version     uint64
	DeliveredAt time.Time
	Latency     time.Duration
	// Failures in a row of the version in hand, the last error, and when it
	// is tried again; zero: not before there is a newer version.
	Failures  int
	LastError string
	Next      time.Time
	// Absent: the consumer is not running.
	Absent bool
	// Disabled: the receiver said that it is gone for good.
	Disabled bool
}

// Worker brings every newest token to one sink. Each sink has a worker of its
// own, so that a sink that hangs is felt by nobody else.
//
// It never holds a token that waits: a wake, or a retry, reads the newest
// record from the store. As an account's deliveries never overlap, nothing old
// is delivered after something newer.
type Worker struct {
	cfg    WorkerConfig
	policy RetryPolicy
	takes  map[string]bool // nil: every account

	wakeMu sync.Mutex
	woken  map[string]struct{}
	wake   chan struct{}

	// mu guards what follows; the loop in Run alone changes it.
	mu       sync.Mutex
	lanes    map[string]*lane
	queue    queue
	absence  absence
	inFlight int
	disabled bool
}

// NewWorker returns a worker that does nothing until [Worker.Run].
func NewWorker(cfg WorkerConfig) *Worker {
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 4
	}
	w := &Worker{
		cfg:    cfg,
		policy: cfg.Policy.withDefaults(),
		woken:  map[string]struct{}{},
		wake:   make(chan struct{}, 1),
		lanes:  map[string]*lane{},
	}
	if len(cfg.Accounts) > 0 {
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
func (w *Worker) Takes(account string) bool { return w.takes == nil || w.takes[account] }

// Wake says that the account may have a newer record. It never blocks, and
// costs nothing for an account that does not go here.
func (w *Worker) Wake(account string) {
	if !w.Takes(account) {
		return
	}
	w.wakeMu.Lock()
	w.woken[account] = struct{}{}
	w.wakeMu.Unlock()
	w.ring()
}

func (w *Worker) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// takeWoken returns the accounts that were woken since the last call.
func (w *Worker) takeWoken() []string {
	w.wakeMu.Lock()
	defer w.wakeMu.Unlock()
	if len(w.woken) == 0 {
		return nil
	}
	accounts := make([]string, 0, len(w.woken))
	for a := range w.woken {
		accounts = append(accounts, a)
	}
	w.woken = map[string]struct{}{}
	slices.Sort(accounts)
	return accounts
}

// Status of one account's deliveries; the zero Status for an account that the
// worker has not seen.
func (w *Worker) Status(account string) Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := Status{Disabled: w.disabled}
	l := w.lanes[account]
	if l == nil {
		return st
	}
	_, waits := w.absence.waiting[l]
	st.Absent = waits || w.absence.probe == l
	st.Version, st.DeliveredAt, st.Latency = l.delivered.Version, l.delivered.At, l.delivered.Latency
	st.Failures, st.LastError, st.Next = l.failures, l.lastError, l.due
	return st
}
