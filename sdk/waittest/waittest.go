// Package waittest is how tests wait for what processes, disks and networks do.
//
// A test waits for what must happen, and gives up when nothing moves any more.
// By the clock alone it would take a machine whose cores are busy, or whose disk
// stands still for a minute, for a defect of the program. So a limit is counted
// in beats: one takes a second at least, and it is over only when a file in the
// folder for temporary files has become durable meanwhile. Where something shows
// that what is waited for advances, the count begins anew with each step, up to
// [Most] beats in all: a program in a loop moves for ever, and a wrong
// expectation must fail with its own words, not with those of the go command.
//
// It is no part of tests in a bubble of testing/synctest.
package waittest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how many beats are waited for what should take moments.
const Patience = 60

// Most is how many beats a wait has at most, whatever moves meanwhile.
const Most = 4 * Patience

// beat is the shortest time that one takes.
const beat = time.Second

var (
	// ErrStandstill ends a wait in which nothing has moved for too long.
	ErrStandstill = errors.New("nothing has moved for too long")
	// ErrEndless ends a wait in which something goes on and on.
	ErrEndless = errors.New("something moves all the time, and it does not come")
)

// Context ends with [ErrStandstill] as its cause when so many beats have passed
// in which no step was made, and with [ErrEndless] after [Most]. Each of steps
// returns a value that changes with every step, such as the size of a log. It is
// called from another goroutine.
func Context(parent context.Context, beats int, steps ...func() any) (context.Context, context.CancelFunc) {
	return count(parent, beats, max(beats, Most), steps...)
}

func count(parent context.Context, beats, most int, steps ...func() any) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		last := make([]any, len(steps))
		for still, all := 0, 0; ; still, all = still+1, all+1 {
			for i, step := range steps {
				if now := step(); now != last[i] {
					last[i], still = now, 0
				}
			}
			if still >= beats {
				cancel(fmt.Errorf("%w: %d beats", ErrStandstill, beats))
				return
			}
			if all >= most {
				cancel(fmt.Errorf("%w: %d beats", ErrEndless, most))
				return
			}
			if !pass(ctx) {
				return
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// pass lets one beat pass; false: ctx has ended.
func pass(ctx context.Context) bool {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	writes(os.TempDir())
	return ctx.Err() == nil
}

// writes returns when a file in dir has become durable, or can't: a full disk
// does not stand still. The file has no name, and so leaves nothing behind.
func writes(dir string) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.Write(fd, []byte("beat")); err == nil {
		_ = unix.Fsync(fd)
	}
}

// Until waits until done says so, which it asks every few milliseconds, and
// fails the test at a standstill.
func Until(t testing.TB, what string, done func() bool, steps ...func() any) {
	t.Helper()
	Within(t, Patience, what, done, steps...)
}

// Within is Until for what must not take more beats than that, because what it
// must not wait for takes longer.
func Within(t testing.TB, beats int, what string, done func() bool, steps ...func() any) {
	t.Helper()
	ctx, cancel := Context(context.WithoutCancel(t.Context()), beats, steps...)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			if !done() {
				t.Fatalf("this did not come: %s: %v", what, context.Cause(ctx))
			}
			return
		}
	}
}

// Beats counts the beats from now on until the returned function is called.
func Beats(t testing.TB) (passed func() int) {
	var n atomic.Int64
	_, cancel := count(context.WithoutCancel(t.Context()), Patience, math.MaxInt, func() any { return n.Add(1) })
	t.Cleanup(cancel)
	return func() int {
		cancel()
		return int(n.Load()) - 1
	}
}

// Receive waits for a value, or for the end of the channel, and fails the test
// at a standstill.
func Receive[T any](t testing.TB, what string, c <-chan T, steps ...func() any) T {
	t.Helper()
	ctx, cancel := Context(context.WithoutCancel(t.Context()), Patience, steps...)
	defer cancel()
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
	}
	select {
	case v := <-c:
		return v
	default:
		t.Fatalf("this did not come: %s: %v", what, context.Cause(ctx))
		panic("not reached")
	}
}

// Returns waits for do to return, and fails the test if that takes more beats
// than that.
func Returns(t testing.TB, what string, beats int, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	ctx, cancel := Context(context.WithoutCancel(t.Context()), beats)
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		t.Fatalf("%s did not return: %v", what, context.Cause(ctx))
		return nil
	}
}

// Limit lets reads of a connection fail at a standstill.
func Limit(t testing.TB, conn interface{ SetReadDeadline(time.Time) error }) {
	ctx, cancel := Context(context.Background(), Patience)
	t.Cleanup(cancel)
	context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
}

// Late returns a channel that is closed at a standstill, for a select beside
// what must come. It belongs before a loop, not into it.
func Late(t testing.TB, steps ...func() any) <-chan struct{} {
	ctx, cancel := Context(context.Background(), Patience, steps...)
	t.Cleanup(cancel)
	return ctx.Done()
}
