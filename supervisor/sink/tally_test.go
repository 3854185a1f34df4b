package sink_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// fate is how a sink behaves at a time.
type fate int

const (
	healthy fate = iota
	hanging
	failing
	away
	busy
	panicking
	fates
)

// tally is a sink in memory that keeps nothing but what it needs to tell
// whether the worker keeps its promises, under any fate.
type tally struct {
	mu     sync.Mutex
	fate   fate
	last   map[string]uint64 // the newest version by account or alert key
	count  map[string]int    // deliveries of that version
	inside map[string]bool
	faults []string
}

func newTally() *tally {
	return &tally{last: map[string]uint64{}, count: map[string]int{}, inside: map[string]bool{}}
}

func (s *tally) be(f fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = f
}

func (s *tally) Deliver(ctx context.Context, d sink.Delivery) error {
	return s.take(ctx, d.Document.Account, d.Version)
}

func (s *tally) Notify(ctx context.Context, n sink.Notice) error {
	return s.take(ctx, n.Alert.Key, n.Alert.Version)
}

func (s *tally) take(ctx context.Context, key string, version uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside[key] {
		s.fault("two deliveries of %s at once", key)
	}
	s.inside[key] = true
	defer func() { s.inside[key] = false }()
	switch s.fate {
	case hanging:
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return ctx.Err()
	case failing:
		return errors.New("wrong answer")
	case away:
		return sink.ErrAbsent
	case busy:
		return &sink.RetryAfterError{After: 30 * time.Second, Err: errors.New("busy")}
	case panicking:
		panic("a bug")
	}
	switch last := s.last[key]; {
	case version < last:
		s.fault("%s: version %d came after %d", key, version, last)
	case version == last:
		s.count[key]++
		return nil
	}
	s.last[key], s.count[key] = version, 1
	return nil
}

func (s *tally) fault(format string, args ...any) {
	if len(s.faults) < 10 {
		s.faults = append(s.faults, fmt.Sprintf(format, args...))
	}
}

// lacks says what of the newest versions the sink does not have.
func (s *tally) lacks(r *records, on *board) (missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	on.mu.Lock()
	defer on.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := map[string]uint64{}
	for account, rec := range r.recs {
		want[account] = rec.Version
	}
	for key, a := range on.alerts {
		want[key] = a.Version
	}
	for key, version := range want {
		if s.last[key] != version {
			missing = append(missing, fmt.Sprintf("%s: has version %d of %d", key, s.last[key], version))
		}
	}
	return missing
}

// states is what becomes of an alert from one version to the next.
var states = []event.AlertState{event.AlertRaised, event.AlertRepeated, event.AlertRecovered}

func both(name string, out sink.Sink, on *board) sink.WorkerConfig {
	return sink.WorkerConfig{
		Name: name, Type: "memory", Sink: out, Alerts: on,
		Kinds:  []sink.Kind{sink.KindToken, sink.KindAlert},
		Policy: sink.RetryPolicy{Timeout: 10 * time.Second},
	}
}
