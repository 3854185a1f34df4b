package refresh

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNotLooked: nobody knows who can change a file that steers the provider, because
// its disk does not answer. Nothing is sent before it does.
var ErrNotLooked = errors.New("its disk does not answer")

const (
	// lookPatience is how long is waited for a look.
	lookPatience = time.Second
	// verdictLasts is for how long a look answers for the beats that come after it.
	verdictLasts = 10 * time.Second
	// mostLooks are made at once: each at a disk that is gone keeps a thread.
	mostLooks = 256
)

// looks are those at the files that steer a provider. A look at a disk that is gone
// never comes back, and can't be ended: so there is one at each path at most, whoever
// asks and however often, and nobody waits for it for long. It is safe for concurrent
// use.
type looks struct {
	judge func(path string) error // nil: no file is refused
	slots chan struct{}

	mu    sync.Mutex
	paths map[string]*look
}

// look is one at a path.
type look struct {
	began time.Time
	over  chan struct{} // closed when verdict and came are set
	came  time.Time
	// verdict refuses the file; nil: it is not refused.
	verdict error
}

func newLooks(judge func(path string) error) *looks {
	return &looks{judge: judge, slots: make(chan struct{}, mostLooks), paths: map[string]*look{}}
}

// at is the verdict on a path, of a look that has come back since then, is under way or
// begins now. It is [ErrNotLooked] if none comes back in time.
func (s *looks) at(path string, since time.Time) error {
	if path == "" || s.judge == nil {
		return nil
	}
	l := s.look(path, since)
	timer := time.NewTimer(lookPatience - time.Since(l.began)) // once for all who ask
	defer timer.Stop()
	select {
	case <-l.over:
		return l.verdict
	case <-timer.C:
	}
	select {
	case <-l.over:
		return l.verdict
	default:
	}
	return fmt.Errorf("%w: for %s nobody can say who may change %s; look at the file system that it is on (a network drive, perhaps)",
		ErrNotLooked, time.Since(l.began).Round(time.Second), path)
}

// look returns the one that counts, which begins now if none does.
func (s *looks) look(path string, since time.Time) *look {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.paths[path]; l != nil && l.counts(since) {
		return l
	}
	l := &look{began: time.Now(), over: make(chan struct{})}
	s.paths[path] = l
	go func() {
		s.slots <- struct{}{}
		l.verdict = s.judge(path)
		<-s.slots
		l.came = time.Now()
		close(l.over)
	}()
	return l
}

// counts says whether it is under way, or has come back since then.
func (l *look) counts(since time.Time) bool {
	select {
	case <-l.over:
		return l.came.After(since)
	default:
		return true
	}
}
