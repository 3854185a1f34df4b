package sharedfile

import (
	"fmt"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// HeldError is the error of [File.Lock] when another program holds the lock
// for too long.
type HeldError struct {
	// Path of the lock file.
	Path string
	// By is who holds it.
	By lockholder.Holders
	// Since is when the first of them was first found holding the lock; it was
	// found so each time since. Age is how long ago that was.
	Since time.Time
	Age   time.Duration
}

// Error says who holds the lock and what to do. It is read hours later, too.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s has been locked since %s by %s: %s; it is never taken by force",
		e.Path, e.Since.UTC().Format("2006-01-02 15:04:05 UTC"), e.By, e.By.Release())
}

// HeldFor is how long the lock has been seen to be held.
func (e *HeldError) HeldFor() time.Duration { return e.Age }

// sighting is since when one process has been found holding a lock. It is safe for
// concurrent use.
type sighting struct {
	path string
	// find says who holds it.
	find func(path string) lockholder.Holders

	mu    sync.Mutex // guards what follows
	by    lockholder.Holders
	since time.Time // first found
	at    time.Time // last looked for; zero: never since the lock could be had
}

// look finds out who holds the lock, unless somebody did so less than every
// ago: the answer can cost a walk through all processes.
func (s *sighting) look(every time.Duration) *HeldError {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.at.IsZero() || now.Sub(s.at) >= every {
		by := s.find(s.path)
		if s.since.IsZero() || s.by.First() != by.First() {
			s.since = now
		}
		s.by, s.at = by, now
	}
	return s.held(now)
}

// last is what was found last; nil: the lock could be had since.
func (s *sighting) last() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() {
		return nil
	}
	return s.held(time.Now())
}

// forget is called when the lock could be had.
func (s *sighting) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by, s.since, s.at = lockholder.Holders{}, time.Time{}, time.Time{}
}

// held is called with s.mu held.
func (s *sighting) held(now time.Time) *HeldError {
	return &HeldError{Path: s.path, By: s.by, Since: s.since, Age: now.Sub(s.since)}
}
