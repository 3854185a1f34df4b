package lockloan

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// collected connects as the next supervisor does, and returns what it gets
// first. It stays connected until the end of the test, or until leave.
func collected(t *testing.T, dir string) (lock *os.File, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan *os.File, 9), make(chan error, 1)
	go func() { done <- Collect(ctx, dir, func(f *os.File) { got <- f }) }()
	leave = func() { cancel(); <-done; done <- nil }
	t.Cleanup(leave)
	select {
	case lock = <-got:
		t.Cleanup(func() { _ = lock.Close() })
		return lock, leave
	case err := <-done:
		done <- err
		t.Fatalf("nothing was handed over: %v", err)
	}
	return nil, nil
}

func offer(t *testing.T, b *Borrower, dir string) *Offer {
	t.Helper()
	o, err := b.Offer(dir)
	if err != nil || o == nil {
		t.Fatalf("nothing is offered: %v", err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// waits returns a channel that closes when the offer's Wait returns.
func waits(o *Offer, limit time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); o.Wait(limit) }()
	return done
}

func closed(c <-chan struct{}, within time.Duration) bool {
	select {
	case <-c:
		return true
	case <-time.After(within):
		return false
	}
}

// ends waits until c is closed.
func ends(t *testing.T, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-waittest.Late(t):
		return false
	}
}

// orphan has the lock of an attempt that was answered, and its lender is dead.
func orphan(t *testing.T) (b *Borrower, lock string) {
	t.Helper()
	l, b := pair(t)
	f := locked(t)
	lend(t, l, "a", f)
	b.Claim("a")
	_, _ = f.Close(), l.Close()
	return b, f.Name()
}

// From the orphan to the next supervisor the lock is never free, in a folder
// whose path is longer than a socket's, over what a process has left that was
// killed.
func TestLockIsHandedOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, socketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, path := orphan(t)
	o := offer(t, b, dir)
	over := waits(o, time.Hour)
	if closed(over, 100*time.Millisecond) {
		t.Fatal("it does not wait for the next supervisor")
	}
	lock, _ := collected(t, dir)
	if !ends(t, over) {
		t.Fatal("it waits on, although the next supervisor has the lock")
	}
	b.GiveBack("a") // as its end does
	if _ = o.Close(); isFree(t, path) {
		t.Error("the lock is free although it was handed over")
	}
	if _ = lock.Close(); !isFree(t, path) {
		t.Error("the next supervisor can't give it back")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// An heir that dies before the answer has come leaves the next one his chance.
func TestHeirThatDiesIsNoHeir(t *testing.T) {
	dir := t.TempDir()
	b, path := orphan(t)
	o := offer(t, b, dir)
	first, leave := collected(t, dir)
	counted := func(n int) func() bool {
		return func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.heirs == n
		}
	}
	waittest.Until(t, "the heir counts", counted(1))
	_ = first.Close()
	leave()
	waittest.Until(t, "it does not count any more", counted(0))
	over := waits(o, time.Hour)
	if closed(over, 100*time.Millisecond) || isFree(t, path) {
		t.Fatal("it does not stay for the next one")
	}
	collected(t, dir)
	if !ends(t, over) {
		t.Error("it waits on")
	}
}

func TestNothingIsKeptWithoutNeed(t *testing.T) {
	t.Run("nobody comes", func(t *testing.T) {
		b, _ := orphan(t)
		if !ends(t, waits(offer(t, b, t.TempDir()), 50*time.Millisecond)) {
			t.Error("it waits for ever")
		}
	})
	t.Run("the lender lives", func(t *testing.T) {
		l, b := pair(t)
		f := locked(t)
		defer f.Close()
		lend(t, l, "a", f)
		b.Claim("a")
		if !ends(t, waits(offer(t, b, t.TempDir()), time.Hour)) {
			t.Error("it waits although it was let go of")
		}
	})
	t.Run("given back meanwhile", func(t *testing.T) {
		b, _ := orphan(t)
		o := offer(t, b, t.TempDir())
		b.GiveBack("a") // the attempt has failed
		if !ends(t, waits(o, time.Hour)) {
			t.Error("it waits with nothing to hand over")
		}
	})
	t.Run("somebody else has it", func(t *testing.T) {
		l, b := pair(t)
		f := locked(t)
		lend(t, l, "a", f)
		b.Claim("a")
		unlock(t, f)
		other, err := os.Open(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		lockNow(t, other)
		_, _ = f.Close(), l.Close()
		if !ends(t, waits(offer(t, b, t.TempDir()), time.Hour)) {
			t.Error("it waits with a lock that is another's")
		}
	})
	t.Run("the call never came", func(t *testing.T) {
		l, b := pair(t)
		f := locked(t)
		lend(t, l, "a", f)
		_, _ = f.Close(), l.Close()
		if o, err := b.Offer(t.TempDir()); o != nil || err != nil || !isFree(t, f.Name()) {
			t.Errorf("it offers %v, %v", o, err)
		}
	})
}

// What the lender gave back after the answer, with the token stored nowhere, is
// taken again if nobody has it.
func TestFreeLockIsTakenAgain(t *testing.T) {
	for range 10 { // to look takes the lock for a moment, in which it may be tried
		l, b := pair(t)
		f := locked(t)
		lend(t, l, "a", f)
		b.Claim("a")
		unlock(t, f)
		_, _ = f.Close(), l.Close()
		over := waits(offer(t, b, t.TempDir()), time.Hour)
		waittest.Until(t, "the lock is taken, or given up", func() bool { return !isFree(t, f.Name()) || closed(over, 0) })
		if !closed(over, 0) {
			return
		}
	}
	t.Error("it does not take the lock, or does not wait with it")
}
