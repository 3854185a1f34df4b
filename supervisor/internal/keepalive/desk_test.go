package keepalive_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// desk is a provider, its broker and the keeper of its accounts in one.
type desk struct {
	every time.Duration

	mu      sync.Mutex
	version map[string]uint64
	life    map[string]sdk.Life
	err     map[string]error
	takes   time.Duration // an answer
	slow    map[string]bool
	busy    map[string]bool
	unseen  map[string]error // nobody can say whether it may be asked of
	calls   map[string][]time.Time
	most    int // calls at once
	flying  int
	gone    []string
	replace bool // a new token comes in the middle of a call
	mute    int  // times that it does not say who it is
	idle    bool // nothing may be used yet
}

func newDesk(every time.Duration, names ...string) *desk {
	d := &desk{
		every: every, version: map[string]uint64{}, life: map[string]sdk.Life{}, err: map[string]error{}, busy: map[string]bool{},
		calls: map[string][]time.Time{},
	}
	for _, name := range names {
		d.version[name], d.life[name] = 1, sdk.Alive
	}
	return d
}

func (d *desk) Serves() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.idle
}

func (d *desk) Describe(context.Context) (sdk.Description, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mute > 0 {
		d.mute--
		return sdk.Description{}, errors.New("no word")
	}
	return sdk.Description{Keepalive: d.every > 0, KeepaliveEvery: d.every}, nil
}

func (d *desk) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	name := req.Account.Name
	d.mu.Lock()
	d.calls[name] = append(d.calls[name], time.Now())
	d.flying++
	d.most = max(d.most, d.flying)
	takes := d.takes
	if d.slow[name] {
		takes = time.Hour
	}
	d.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flying--
	if d.replace {
		d.version[name]++
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if d.life[name] == "panic" {
		panic("a secret")
	}
	return d.life[name], d.err[name]
}

func (d *desk) Session(name string) (sdk.Account, store.Record, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return sdk.Account{Name: name}, store.Record{Version: d.version[name]}, d.version[name] > 0 && !d.busy[name], d.unseen[name]
}

func (d *desk) SessionOf(name string, version uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return version > 0 && d.version[name] == version && !d.busy[name]
}

func (d *desk) SessionGone(name string, version uint64, gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if gone {
		d.gone = append(d.gone, fmt.Sprint(name, " v", version))
	}
}

func (d *desk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// called is how often an account was beaten since the last call.
func (d *desk) called(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.calls[name])
	d.calls[name] = nil
	return n
}

// told are the versions whose sessions were said to be gone.
func (d *desk) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.gone)
}

// beating runs the beats of d until the test ends.
func beating(t *testing.T, d *desk) *keepalive.Beats {
	b := newBeats(d, time.Now)
	run(t, b, d)
	return b
}

func newBeats(d *desk, wall func() time.Time) *keepalive.Beats {
	var names []string
	for name := range d.version {
		names = append(names, name)
	}
	slices.Sort(names)
	return keepalive.New(configOf(d, wall, names...))
}

func configOf(a keepalive.Accounts, wall func() time.Time, names ...string) keepalive.Config {
	log := slog.New(slog.DiscardHandler)
	return keepalive.Config{Provider: "fake", Names: names, Accounts: a, Events: event.NewBus(log, time.Now), Log: log, Wall: wall}
}

func run(t *testing.T, b *keepalive.Beats, p keepalive.Provider) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx, p) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func session(t *testing.T, b *keepalive.Beats, name string) keepalive.Session {
	t.Helper()
	s, ok := b.Session(name)
	if !ok {
		t.Errorf("%s has no session", name)
	}
	return s
}
