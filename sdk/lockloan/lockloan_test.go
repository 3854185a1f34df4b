package lockloan

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// pair is both sides, in one process.
func pair(t *testing.T) (*Lender, *Borrower) {
	t.Helper()
	l, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Borrow(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.Close(), theirs.Close() })
	return l, b
}

func locked(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
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

func lend(t *testing.T, l *Lender, attempt string, f *os.File) {
	t.Helper()
	if err := l.LendLock(attempt, int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

// The lock stands while it is on its way, while it is held, and no longer; and
// the lender unlocks it for all.
func TestLockOutlivesItsLender(t *testing.T) {
	l, b := pair(t)
	f := locked(t)
	lend(t, l, "a", f)
	_, _ = f.Close(), l.Close() // all that a dead lender leaves is this
	if isFree(t, f.Name()) {
		t.Fatal("free while it is on its way")
	}
	b.Claim("another")
	b.GiveBack("another")
	b.Claim("a")
	if isFree(t, f.Name()) {
		t.Fatal("free in mid-attempt")
	}
	b.GiveBack("a")
	if !isFree(t, f.Name()) {
		t.Fatal("still held after the attempt")
	}
}

func TestLenderUnlocksForAll(t *testing.T) {
	l, b := pair(t)
	f := locked(t)
	lend(t, l, "a", f)
	b.Claim("a")
	defer b.GiveBack("a")
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if !isFree(t, f.Name()) {
		t.Error("the borrower keeps a lock that was unlocked")
	}
}

// Who does not say hello gets nothing, however often, and nothing waits for him.
func TestNothingIsLentWithoutHello(t *testing.T) {
	l, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	f := locked(t)
	for range 3 {
		if err := l.LendLock("a", int(f.Fd())); !errors.Is(err, ErrNotTaken) {
			t.Fatalf("got %v", err)
		}
	}
	_ = f.Close()
	if !isFree(t, f.Name()) {
		t.Error("the lock is on its way to nobody")
	}
	if _ = l.Close(); !errors.Is(l.LendLock("a", 0), os.ErrClosed) {
		t.Error("lent after the end")
	}
	var nobody *Borrower
	nobody.Claim("a")
	nobody.GiveBack("a")
	if o, err := nobody.Offer(t.TempDir()); o != nil || err != nil {
		t.Errorf("nobody offers %v, %v", o, err)
	}
}

// A provider that says hello and then takes nothing in does not hold up the
// lender.
func TestFullSocketBlocksNobody(t *testing.T) {
	l, _ := pair(t)
	f := locked(t)
	for range 1_000_000 {
		if err := l.LendLock("a", int(f.Fd())); err != nil {
			return
		}
	}
	t.Error("the socket takes a million packets")
}

func TestUnclaimedLocksAreGivenUp(t *testing.T) {
	l, b := pair(t)
	f := locked(t)
	lend(t, l, "never called", f)
	_ = f.Close()
	synctest.Test(t, func(t *testing.T) {
		b.Claim("b")
		if time.Sleep(unclaimed); isFree(t, f.Name()) {
			t.Error("given up too early")
		}
		time.Sleep(time.Second)
		if b.Claim("c"); !isFree(t, f.Name()) {
			t.Error("kept for ever")
		}
	})
}

func descriptorsOpen(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func TestManyAttemptsLeaveNoDescriptors(t *testing.T) {
	l, b := pair(t)
	f := locked(t)
	before := descriptorsOpen(t)
	for i := range 1000 {
		id := fmt.Sprint(i)
		lend(t, l, id, f)
		lend(t, l, id, f) // the same attempt again
		b.Claim(id)
		lend(t, l, id, f) // and again, while it is under way
		b.Claim(id)
		b.GiveBack(id)
	}
	if after := descriptorsOpen(t); after > before { // what earlier tests had may be closed meanwhile
		t.Errorf("%d descriptors are open, before it were %d", after, before)
	}
}

// What a provider starts keeps neither a lock nor the socket on which the next
// ones come.
func TestChildrenInheritNothing(t *testing.T) {
	l, b := pair(t)
	f := locked(t)
	lend(t, l, "a", f)
	b.Claim("a")
	defer b.GiveBack("a")
	out, err := exec.Command("/bin/sh", "-c", "ls -l /proc/self/fd").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, f.Name()) || strings.Contains(line, "socket:") {
			t.Errorf("a child has %s", line)
		}
	}
}

func lockNow(t *testing.T, f *os.File) {
	t.Helper()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
}

func unlock(t *testing.T, f *os.File) {
	t.Helper()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
}
