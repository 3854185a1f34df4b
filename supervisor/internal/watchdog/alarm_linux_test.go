package watchdog

import (
	"context"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func TestAlarm(t *testing.T) {
	const every = 10 * time.Millisecond
	a, err := newAlarm(every)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	ticks := a.ticks(ctx)
	for range 3 {
		waittest.Receive(t, "a tick of the alarm", ticks)
	}
	if took := time.Since(began); took < 2*every {
		t.Errorf("three ticks of %s within %s", every, took)
	}
	cancel()
	for { // the file is closed, so that nothing waits for it any more
		if err := a.wait(); err != nil {
			return
		}
	}
}

// TestAlarmSetAnew: as after a change of the clock, which a test can't make,
// the next tick comes one interval later and not at the moment of before.
func TestAlarmSetAnew(t *testing.T) {
	a, err := newAlarm(24 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.close() }()
	a.every = time.Millisecond
	if err := a.set(); err != nil {
		t.Fatal(err)
	}
	ticked := make(chan error, 1)
	go func() { ticked <- a.wait() }()
	select {
	case err := <-ticked:
		if err != nil {
			t.Error(err)
		}
	case <-waittest.Late(t):
		t.Error("the alarm was set to a millisecond and does not tick")
	}
}
