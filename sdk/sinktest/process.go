package sinktest

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// meaningless are the signals that a service manager or a terminal sends to
// everybody in a service.
var meaningless = []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGABRT, syscall.SIGINT}

func (s *tested) signals(t *testing.T) {
	t.Helper()
	for _, sig := range meaningless {
		if err := s.process.Signal(sig); err != nil {
			t.Errorf("send %v: %v", sig, err)
		}
	}
}

// Signals mean nothing while the lifeline is open: the last deliveries before a
// stop come after the service manager's SIGTERM.
func testSignals(t *testing.T, s *tested) {
	settings := s.Settings(t)
	s.deliver(t, request(settings, "main", 1))
	s.signals(t)
	if err := s.process.Ended(1); err == nil {
		t.Fatal("the process ended at a signal, although its lifeline is open")
	}
	s.deliver(t, request(settings, "main", 2))
	s.holds(t, settings, "main", 2)
}

// Nothing is left behind when the lifeline has ended, which is the supervisor's
// death, too.
func testLifeline(t *testing.T, s *tested) {
	s.deliver(t, request(s.Settings(t), "main", 1))
	s.process.LetGo()
	s.signals(t)
	if err := s.process.Ended(beats(2 * soon)); err != nil {
		t.Errorf("after the end of its lifeline: %v", err)
	}
}

func testLifelineInMidDelivery(t *testing.T, s *tested) {
	if s.Hanging == nil {
		t.Skip("the destination can't hang: Hanging is not set")
	}
	settings := s.Hanging(t)
	const deadline = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- s.sink.Deliver(ctx, request(settings, "main", 1)) }()
	s.process.LetGo()
	if err := s.process.Ended(beats(deadline + 2*soon)); err != nil {
		t.Errorf("after the end of its lifeline: %v", err)
	}
	s.tells(t, <-failed)
}
