package sink_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// board is a place in memory where alerts stand.
type board struct {
	mu     sync.Mutex
	alerts map[string]event.Alert
	broken error
}

func newBoard() *board { return &board{alerts: map[string]event.Alert{}} }

// change brings the alert on an account to its next version.
func (b *board) change(account string, state event.AlertState) event.Alert {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := string(event.NeedsLogin) + ":" + account
	a := b.alerts[key]
	a.Key, a.Type, a.Account, a.Provider = key, event.NeedsLogin, account, "broker"
	a.Message = "log in to " + account
	if state == event.AlertRaised || a.Version == 0 {
		a.Since = time.Now()
	}
	a.State, a.ChangedAt = state, time.Now()
	a.Version++
	b.alerts[key] = a
	return a
}

func (b *board) drop(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.alerts, key)
}

func (b *board) Alerts(context.Context) ([]event.Alert, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []event.Alert
	for _, key := range slices.Sorted(maps.Keys(b.alerts)) {
		all = append(all, b.alerts[key])
	}
	return all, b.broken
}

func (b *board) Alert(_ context.Context, key string) (event.Alert, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.alerts[key]
	return a, ok, b.broken
}

// listener is a receiver that is told of things too.
type listener struct {
	receiver
	hear    func(ctx context.Context, n sink.Notice) error // nil: success
	heardMu sync.Mutex
	calls   int
	heard   []sink.Notice
}

func (l *listener) Notify(ctx context.Context, n sink.Notice) error {
	l.heardMu.Lock()
	l.calls++
	hear := l.hear
	l.heardMu.Unlock()
	if hear != nil {
		if err := hear(ctx, n); err != nil {
			return err
		}
	}
	l.heardMu.Lock()
	defer l.heardMu.Unlock()
	l.heard = append(l.heard, n)
	return nil
}

func (l *listener) listen(hear func(context.Context, sink.Notice) error) {
	l.heardMu.Lock()
	defer l.heardMu.Unlock()
	l.hear = hear
}

// take returns what was heard since the last call, and how often it was tried.
func (l *listener) take() (heard []sink.Notice, calls int) {
	l.heardMu.Lock()
	defer l.heardMu.Unlock()
	heard, calls = l.heard, l.calls
	l.heard, l.calls = nil, 0
	return heard, calls
}

func hang(ctx context.Context, _ sink.Notice) error {
	<-ctx.Done()
	return ctx.Err()
}

// raise changes an alert and wakes the worker.
func (b *bench) raise(on *board, account string, state event.AlertState) event.Alert {
	a := on.change(account, state)
	b.WakeAlert(a.Key)
	return a
}
