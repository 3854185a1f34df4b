package sink_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// records is a store in memory, with the parts that a worker needs.
type records struct {
	mu      sync.Mutex
	recs    map[string]store.Record
	ledger  map[string]map[string]store.Delivery
	loads   int
	lists   int
	tried   int   // failures that the ledger was told
	broken  error // every call fails with it
	loseAll bool  // the ledger forgets what it is told
	damaged error // Heads names it beside what can be read
}

func newRecords() *records {
	return &records{recs: map[string]store.Record{}, ledger: map[string]map[string]store.Delivery{}}
}

// drop forgets what the ledger says of an alert.
func (r *records) drop(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lines := range r.ledger {
		delete(lines, key)
	}
}

// next stores the account's next version.
func (r *records) next(account string) store.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.recs[account]
	old.Account, old.Provider = account, "broker"
	v := old.Version + 1
	now := time.Now()
	rec := old.Next(sdk.Token{
		AccessToken:  sdk.NewSecret(fmt.Sprintf("access-%s-%d", account, v)),
		RefreshToken: sdk.NewSecret(fmt.Sprintf("refresh-%s-%d", account, v)),
		IDToken:      sdk.NewSecret(fmt.Sprintf("id-%s-%d", account, v)),
		IssuedAt:     now, Lifetime: 48 * time.Hour,
		Extra: map[string]string{"base_uri": "https://broker.example"},
	}, store.OriginRefresh, "a", now)
	r.recs[account] = rec
	return rec
}

func (r *records) set(change func(*records)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *records) Load(_ context.Context, account string) (store.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads++
	if r.broken != nil {
		return store.Record{}, r.broken
	}
	rec, ok := r.recs[account]
	if !ok {
		return rec, fmt.Errorf("account %q: %w", account, store.ErrNotFound)
	}
	return rec, nil
}

func (r *records) Heads(context.Context) ([]store.Head, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists++
	if r.broken != nil {
		return nil, r.broken
	}
	var all []store.Head
	for _, rec := range r.recs {
		all = append(all, store.Head{Account: rec.Account, Provider: rec.Provider, Version: rec.Version, StoredAt: rec.StoredAt})
	}
	slices.SortFunc(all, func(a, b store.Head) int { return slices.Compare([]byte(a.Account), []byte(b.Account)) })
	return all, r.damaged
}

func (r *records) MarkDelivered(_ context.Context, d store.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	if r.loseAll {
		return nil
	}
	if r.ledger[d.Sink] == nil {
		r.ledger[d.Sink] = map[string]store.Delivery{}
	}
	d.Result, d.TriedVersion, d.TriedAt = store.ResultDelivered, d.Version, d.At
	r.ledger[d.Sink][d.Account] = d
	return nil
}

func (r *records) MarkTried(_ context.Context, t store.Tried) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	if r.loseAll {
		return nil
	}
	if r.ledger[t.Sink] == nil {
		r.ledger[t.Sink] = map[string]store.Delivery{}
	}
	d := r.ledger[t.Sink][t.Account]
	if t.Version < d.TriedVersion {
		return nil
	}
	d.Sink, d.Account = t.Sink, t.Account
	d.Result, d.TriedVersion, d.TriedAt, d.Error, d.Failures = t.Result, t.Version, t.At, t.Error, t.Failures
	r.ledger[t.Sink][t.Account] = d
	r.tried++
	return nil
}

func (r *records) Delivery(_ context.Context, name, account string) (store.Delivery, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return store.Delivery{}, r.broken
	}
	return r.ledger[name][account], nil
}

// receiver is a sink in memory.
type receiver struct {
	mu sync.Mutex
	// answer decides each try; nil: success.
	answer func(ctx context.Context, d sink.Delivery) error
	tries  []sink.Delivery
	at     []time.Time
	got    []sink.Delivery
	busy   map[string]bool
	faults []string
}

func (r *receiver) Deliver(ctx context.Context, d sink.Delivery) error {
	account := d.Document.Account
	r.mu.Lock()
	if r.busy == nil {
		r.busy = map[string]bool{}
	}
	if r.busy[account] {
		r.faults = append(r.faults, "two deliveries at once for "+account)
	}
	r.busy[account] = true
	r.tries, r.at = append(r.tries, d), append(r.at, time.Now())
	answer := r.answer
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy[account] = false
	}()
	if answer != nil {
		if err := answer(ctx, d); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, d)
	return nil
}

func (r *receiver) set(answer func(context.Context, sink.Delivery) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// versions that arrived of an account, oldest first.
func (r *receiver) versions(account string) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var vs []uint64
	for _, d := range r.got {
		if d.Document.Account == account {
			vs = append(vs, d.Version)
		}
	}
	return vs
}

func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tries)
}

// waiting is a receiver that can tell when its consumer comes.
type waiting struct {
	receiver
	come chan struct{}
}

func (w *waiting) Await(ctx context.Context) error {
	select {
	case <-w.come:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bench is one worker with what stands around it.
type bench struct {
	*sink.Worker
	records *records
	events  *event.Subscription
	stop    func()
}

// start runs a worker until the test ends or stop is called. The test runs in
// a synctest bubble.
func start(t *testing.T, cfg sink.WorkerConfig, r *records) *bench {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name, cfg.Type = "bot", "memory"
	}
	bus := cfg.Events
	if bus == nil {
		bus = event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	}
	cfg.Store, cfg.Events = r, bus
	b := &bench{Worker: sink.NewWorker(cfg), records: r, events: bus.Subscribe(100_000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			cancel()
			began := time.Now()
			if err := <-done; err == nil {
				t.Error("Run returned no error at the end of its context")
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("Run took %s to return", took)
			}
		})
	}
	t.Cleanup(b.stop)
	return b
}

// refresh stores the account's next version and wakes the worker.
func (b *bench) refresh(account string) {
	b.records.next(account)
	b.Wake(account)
}

// pass lets simulated time go by, and then everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// count empties the subscription and counts the events by type.
func (b *bench) count() map[event.Type]int {
	n := map[event.Type]int{}
	for {
		select {
		case e := <-b.events.C:
			n[e.Type]++
		default:
			return n
		}
	}
}
