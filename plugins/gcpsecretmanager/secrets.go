package gcpsecretmanager

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// secrets is what this process knows of the secrets that it writes. There is
// no token in it, and all of it may be lost at any time.
type secrets struct {
	mu     sync.Mutex
	byName map[string]*secret
}

func (s *secrets) of(set settings) *secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]*secret{}
	}
	name := set.endpoint + "|" + set.name()
	if s.byName[name] == nil {
		s.byName[name] = &secret{turn: make(chan struct{}, 1)}
	}
	return s.byName[name]
}

// secret is one secret. Its lock makes reading, merging and adding one step
// among the deliveries of this process; all but lock needs it held.
type secret struct {
	turn chan struct{}

	// newest is the highest number that is known to have been added.
	newest int64
	// leftover are the numbers of versions that a newer one supersedes, or
	// will, and that are not destroyed yet.
	leftover map[int64]bool
	// swept: the versions that an earlier process left behind are in leftover.
	swept bool
	// owners and times are by the settings' key.
	owners map[string]string
	times  map[string]time.Time
}

func (s *secret) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *secret) unlock() { <-s.turn }

// claim refuses a second account in the same place.
func (s *secret) claim(key, account string) error {
	if owner, taken := s.owners[key]; taken && owner != account {
		return errShared(owner)
	}
	if s.owners == nil {
		s.owners, s.times, s.leftover = map[string]string{}, map[string]time.Time{}, map[int64]bool{}
	}
	s.owners[key] = account
	return nil
}

func (s *secret) lastAdded(key string) time.Time { return s.times[key] }
func (s *secret) added(key string, at time.Time) { s.times[key] = at }

func (s *secret) destroyed(number int64) { delete(s.leftover, number) }

func (s *secret) superseded(number int64) {
	if number > 0 {
		s.leftover[number] = true
	}
}

// old returns the leftovers below newest, the youngest first.
func (s *secret) old(newest int64) []int64 {
	numbers := slices.DeleteFunc(slices.Sorted(maps.Keys(s.leftover)), func(n int64) bool { return n >= newest })
	slices.Reverse(numbers)
	return numbers
}
