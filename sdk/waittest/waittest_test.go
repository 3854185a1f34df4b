package waittest_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func TestStandstill(t *testing.T) {
	t.Parallel()
	began := time.Now()
	ctx, cancel := waittest.Context(t.Context(), 2)
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, waittest.ErrStandstill) || time.Since(began) < 2*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// As long as something moves it is waited for.
func TestStepsBeginTheCountAnew(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	ctx, cancel := waittest.Context(t.Context(), 2, func() any { return min(looks.Add(1), 3) })
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, waittest.ErrStandstill) || looks.Load() != 3+2 {
		t.Errorf("after %d looks: %v", looks.Load(), err)
	}
}

// What moves for ever ends all the same.
func TestEndless(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	ctx, cancel := waittest.Count(t.Context(), 2, 3, func() any { return looks.Add(1) })
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, waittest.ErrEndless) || looks.Load() != 1+3 {
		t.Errorf("after %d looks: %v", looks.Load(), err)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	asked := 0
	waittest.Until(t, "the third look", func() bool { asked++; return asked == 3 })
	c := make(chan int)
	go func() { c <- 7 }()
	if got := waittest.Receive(t, "a number", c); got != 7 {
		t.Errorf("received %d", got)
	}
	beats := waittest.Beats(t)
	began := time.Now()
	waittest.Within(t, 3, "the second beat", func() bool { return time.Since(began) > 1500*time.Millisecond })
	if n := beats(); n < 1 || n > 3 { // a busy machine may stand still in between
		t.Errorf("%d beats in 1.5 s", n)
	}
	want := errors.New("done")
	if err := waittest.Returns(t, "a call", 1, func() error { return want }); err != want {
		t.Errorf("it returned %v", err)
	}
}

// failing notes a fatal error and ends its goroutine, as a test's does.
type failing struct {
	testing.TB
	failed chan struct{}
}

func (f failing) Helper() {}

func (f failing) Fatalf(string, ...any) {
	close(f.failed)
	runtime.Goexit()
}

func TestWaitForWhatNeverComes(t *testing.T) {
	t.Parallel()
	f := failing{t, make(chan struct{})}
	go func() { _ = waittest.Returns(f, "a call", 1, func() error { select {} }) }()
	<-f.failed
}
