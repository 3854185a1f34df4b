package mounts

import (
	"sync"
	"time"
)

// pause is between the first look at a path that does not come back and the next one.
const pause = time.Minute

// Looks are those that are under way. Who asks while one is waits for that one, so that
// a process that lives for long does not leave a thread behind each time that it asks.
//
// A path may answer again though no look at it ever comes back, as after umount -l. So
// another look begins when the path has been silent for twice as long as at the last
// one's begin: some twenty in a year. Its zero value is ready; it is safe for concurrent
// use.
type Looks struct {
	mu    sync.Mutex
	under map[string]*silence
}

// silence is how long a path has not answered.
type silence struct {
	since, last time.Time     // when the first and the last look at it began
	over        chan struct{} // closed when one of them comes back
}

// at returns the look at path that is under way, which begins now if none is, or none
// that may come back.
func (l *Looks) at(path string, look func(string)) (over <-chan struct{}, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s := l.under[path]
	switch {
	case s == nil:
		s = &silence{since: now, over: make(chan struct{})}
		if l.under == nil {
			l.under = map[string]*silence{}
		}
		l.under[path] = s
	case now.Sub(s.last) < max(pause, s.last.Sub(s.since)):
		return s.over, s.last
	}
	s.last = now
	go func() {
		look(path)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.under[path] == s { // no other one came back before
			delete(l.under, path)
			close(s.over)
		}
	}()
	return s.over, now
}
