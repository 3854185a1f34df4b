package providertest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// testLentLock: a lock that was lent for an attempt stands until the attempt
// has ended, also if whoever lent it dies in mid-request, and no longer.
func testLentLock(t *testing.T, s Suite) {
	b, arrived, release := s.hold(t)
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
		_, err := remote.Refresh(ctx, s.refresh("one", b))
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
	late := time.After(10 * time.Second)
	for look := time.NewTicker(5 * time.Millisecond); !isFree(t, path); {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("the lock is still held, 10 s after the attempt has ended")
		}
	}
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
