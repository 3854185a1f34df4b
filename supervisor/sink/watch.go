package sink

import (
	"context"
	"time"
)

// watch lets a sink that can tell when its consumer comes do so, while that is
// absent.
func (s *state) watch(ctx context.Context) {
	waiter, can := s.Sink.(Waiter)
	if !can {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.absence.is() || s.absence.stop != nil || s.disabled.is() {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.absence.stop = cancel
	go func() {
		err := safely(func() error { return waiter.Await(ctx) })
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case ctx.Err() != nil: // nobody waits for it any more
		case err != nil:
			s.absence.endWatch()
		default:
			s.absence.sign(time.Now(), s.queue)
		}
	}()
}

func (s *state) endWatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absence.endWatch()
}
