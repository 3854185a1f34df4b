package providertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/internal/hosted"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// testLentLock: a lock that was lent for an attempt stands until the attempt
// has ended, also if whoever lent it dies in mid-request, and no longer than
// until it is settled.
func testLentLock(t *testing.T, s trial) {
	b, arrived, release := s.holdBack(t)
	p, remote := s.host(t, t.TempDir())
	ctx := call(t)
	path := filepath.Join(t.TempDir(), "lock")
	ours := flock(t, path)
	switch err := p.Locks.LendLock("one", int(ours.Fd())); {
	case errors.Is(err, lockloan.ErrNotTaken):
		t.Skip("this provider takes no locks, which is allowed: see package lockloan")
	case err != nil:
		t.Fatal(err)
	}
	done := inMidRequest(t, arrived, func() error {
		_, err := s.next(ctx, remote, s.request("one", b))
		return err
	})
	_ = ours.Close() // as if the supervisor were dead, as far as the lock goes
	if isFree(t, path) {
		t.Error("the lock is free although the request is open")
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := remote.Settle(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	waittest.Within(t, soon, "the lock of an attempt that was settled is free", func() bool { return isFree(t, path) })
}

// handOver is how long a provider of this suite keeps locks for the next
// supervisor.
const handOver = 2 * time.Second

// testLockIsHandedOver: the lock of an attempt whose supervisor has died goes to
// the next one, and is never free in between.
func testLockIsHandedOver(t *testing.T, s trial) {
	o := s.orphan(t)
	inherited, over := make(chan *os.File, 1), make(chan struct{})
	go func() {
		defer close(over)
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for o.ctx.Err() == nil && lockloan.Collect(o.ctx, o.dir, func(lock *os.File) { inherited <- lock }) != nil {
			select {
			case <-look.C:
			case <-o.ctx.Done():
			}
		}
	}()
	select {
	case lock := <-inherited:
		defer lock.Close()
	case <-over:
		t.Fatal("it does not offer the lock")
	}
	o.answer()
	if err := o.Ended(soon); err != nil {
		t.Fatal(err)
	}
	<-over
	if isFree(t, o.lock) {
		t.Error("the lock is free although it was handed over")
	}
}

// testLockIsFreed: if there is no next supervisor, the lock is free after the
// time that was named.
func testLockIsFreed(t *testing.T, s trial) {
	o := s.orphan(t)
	began := time.Now()
	o.answer()
	// On a busy machine the look at it may come when its time is over.
	if free := o.Ended(1) == nil || isFree(t, o.lock); free && time.Since(began) < handOver {
		t.Error("the lock is free although nobody has written down what was answered")
	}
	if err := o.Ended(soon + int(handOver/time.Second)); err != nil {
		t.Fatal(err)
	}
	if !isFree(t, o.lock) {
		t.Error("the lock is still held")
	}
}

// orphan is a provider in mid-request, to which a lock was lent by a supervisor
// that is dead.
type orphan struct {
	*hosted.Process
	ctx       context.Context
	dir, lock string
	answer    func() // the request
}

// flock locks a file.
func flock(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func isFree(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
