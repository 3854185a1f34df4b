package alert

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// world is a supervisor around an engine: how things stand, a store whose disk
// may fail or hang, and sinks that can be told.
type world struct {
	t      testing.TB
	memory *store.Memory
	engine *Engine
	stop   context.CancelFunc
	ended  chan struct{}
	policy Policy
	log    bytes.Buffer
	events *event.Bus // see bus

	facts *event.Facts

	excuse []Window // the broker's times of maintenance
	some   []Wants

	mu     sync.Mutex
	shot   Snapshot
	fault  error
	hang   chan struct{} // not nil: writes wait until it is closed
	woken  []string
	notify []string // the sinks that take alerts
	// frugal: a snapshot has only the accounts that were asked for, unless set
	// has changed something.
	frugal, changed bool
	gate            chan struct{} // not nil: a look waits until it is closed
}

func newWorld(t testing.TB) *world {
	return &world{t: t, memory: store.NewMemory(), policy: Policy{Repeat: 4 * time.Hour, LoginDue: 24 * time.Hour}}
}

func (w *world) SaveAlert(ctx context.Context, a event.Alert) error {
	if err := w.disk(); err != nil {
		return err
	}
	return w.memory.SaveAlert(ctx, a)
}

func (w *world) DropAlert(ctx context.Context, key string, version uint64) error {
	if err := w.disk(); err != nil {
		return err
	}
	return w.memory.DropAlert(ctx, key, version)
}

func (w *world) Alerts(ctx context.Context) ([]event.Alert, error) { return w.memory.Alerts(ctx) }

func (w *world) disk() error {
	w.mu.Lock()
	fault, hang := w.fault, w.hang
	w.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return fault
}

// start runs an engine on what the store holds.
func (w *world) start() {
	w.t.Helper()
	w.facts = w.bus().NewFacts()
	e, err := New(w.t.Context(), Config{
		Store: w, Policy: w.policy, Told: w.told, Some: w.some,
		Snapshot: func(asked map[string]bool) Snapshot {
			w.mu.Lock()
			gate := w.gate
			w.mu.Unlock()
			if gate != nil {
				<-gate
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			s := w.shot
			s.Now = time.Now()
			s.Facts = w.facts.All()
			if w.excuse != nil {
				s.Accounts = slices.Clone(s.Accounts)
				for n := range s.Accounts {
					s.Accounts[n].Maintenance = Maintenance(w.excuse, s.Now)
				}
			}
			if w.frugal {
				s.Accounts = slices.DeleteFunc(slices.Clone(s.Accounts), func(a Account) bool { return !asked[a.Name] && !w.changed })
				w.changed = false
			}
			s.Accounts, s.Processes, s.Sinks = slices.Clone(s.Accounts), slices.Clone(s.Processes), slices.Clone(s.Sinks)
			return s
		},
		Wake: func(key string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.woken = append(w.woken, key)
		},
		Events: w.bus(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range e.Carried() {
		w.facts.Keep(f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.engine, w.stop, w.ended = e, cancel, make(chan struct{})
	ended := w.ended
	go func() { defer close(ended); _ = e.Run(ctx) }()
	synctest.Wait()
}

// bus is what the engine publishes on: the test's, or one that only logs.
func (w *world) bus() *event.Bus {
	if w.events == nil {
		w.events = event.NewBus(slog.New(slog.NewTextHandler(&w.log, nil)), time.Now)
	}
	return w.events
}

// die ends the run; what the store holds stays.
func (w *world) die() {
	w.stop()
	<-w.ended
	if err := w.memory.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.memory = w.memory.Reopen()
}

// set changes how things stand and has the engine look.
func (w *world) set(change func(*Snapshot)) {
	w.mu.Lock()
	change(&w.shot)
	w.changed = true
	w.mu.Unlock()
	w.look()
}

func (w *world) setDisk(err error) {
	w.mu.Lock()
	w.fault = err
	w.mu.Unlock()
}

// meets has a room meet a trouble that nothing else shows.
func (w *world) meets(t event.Type, account, provider, what string) {
	w.facts.Meet(slog.LevelWarn, event.Event{Type: t, Account: account, Provider: provider, Message: what})
	synctest.Wait()
}

func (w *world) look() {
	w.bus().Nudge()
	synctest.Wait()
}

// pass lets time pass as the supervisor does, with a look every 30 s.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(30*time.Second, time.Until(end)))
		w.look()
	}
}

// told asks the ledger, as the supervisor does.
func (w *world) told(ctx context.Context, a event.Alert) bool {
	for _, sink := range w.notify {
		line, err := w.memory.Delivery(ctx, sink, a.Key)
		if err != nil || line.Version < a.Version {
			return false
		}
	}
	return true
}

// tell is what a sink's worker does: it brings the newest state of every alert
// to a sink that does not have it.
func (w *world) tell(sink string) (notices []event.Alert) {
	all, err := w.engine.For(nil).Alerts(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all {
		line, err := w.memory.Delivery(w.t.Context(), sink, a.Key)
		if err != nil {
			w.t.Fatal(err)
		}
		if a.Version > line.Version {
			notices = append(notices, a)
			d := store.Delivery{Sink: sink, Account: a.Key, Version: a.Version, At: time.Now()}
			if err := w.memory.MarkDelivered(w.t.Context(), d); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return notices
}

// alert returns the only alert that there is.
func (w *world) alert() event.Alert {
	w.t.Helper()
	all, err := w.engine.Alerts(w.t.Context())
	if err != nil || len(all) != 1 {
		w.t.Fatalf("alerts %+v (%v), want one", all, err)
	}
	one, ok, err := w.engine.For(nil).Alert(w.t.Context(), all[0].Key)
	if err != nil || !ok || one.Version != all[0].Version || one.Message != all[0].Message {
		w.t.Fatalf("alert %+v (%v, %v), want %+v", one, ok, err, all[0])
	}
	return one
}

func (w *world) none() {
	w.t.Helper()
	all, err := w.engine.Alerts(w.t.Context())
	stored, serr := w.memory.Alerts(w.t.Context())
	if err := errors.Join(err, serr); err != nil || len(all)+len(stored) > 0 {
		w.t.Fatalf("alerts %+v, stored %+v, want none (%v)", all, stored, err)
	}
}

func (w *world) want(state event.AlertState, stored bool) event.Alert {
	w.t.Helper()
	a := w.alert()
	if a.State != state {
		w.t.Fatalf("the alert is %s, want %s: %+v", a.State, state, a)
	}
	kept, err := w.memory.Alerts(w.t.Context())
	if err != nil || (len(kept) == 1 && kept[0].Version == a.Version) != stored {
		w.t.Fatalf("stored: %+v (%v), want the newest: %v", kept, err, stored)
	}
	return a
}

// account is one that was refreshed a minute ago, in an earlier run.
func (w *world) account(change func(*Account)) func(*Snapshot) {
	a := healthy()
	a.StoredAt, a.Expiry, a.RefreshExpiry = time.Now().Add(-time.Minute), time.Now().Add(30*24*time.Hour), time.Now().Add(5*24*time.Hour)
	change(&a)
	return func(s *Snapshot) { s.Accounts = []Account{a} }
}

// same compares two alerts.
func same(a, b event.Alert) bool { return reflect.DeepEqual(a, b) }
