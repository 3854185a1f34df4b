package store

import (
	"errors"

	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

// A file that is opened again and again is made compact all the same.
func TestCompactOverManyStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(fastTemp(t), "state")
	now := recordtest.Golden().StoredAt
	last, longest := numbered("main", 1), int64(0)
	for start := range 30 {
		s, err := Open(dir, Options{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		s.Compact(16 << 10)
		for n := range 20 {
			if start+n > 0 {
				last = last.Next(recordtest.Token(int(last.Version)), OriginRefresh, "a", now)
			}
			if err := s.Commit(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			longest, now = max(longest, s.End()), now.Add(time.Hour)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if longest > 512<<10 {
		t.Errorf("the log of one account grew to %d bytes", longest)
	}
}

func fastTemp(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "tokenkeeper-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// closing is a gate that knows whether it was closed.
type closing struct {
	*gate
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// Close waits for all writes that came before it, also those that had to wait for
// another one of the same account.
func TestCloseIsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &closing{gate: newGate()}
		e := newEngine(g.kept, g, Options{})
		errs := make(chan error, 4)
		for _, write := range []func() error{
			func() error { return e.Commit(t.Context(), numbered("other", 1)) },
			func() error { return e.Commit(t.Context(), numbered("main", 1)) },
			func() error { return e.Intend(t.Context(), Intent{Account: "main", Version: 1, Attempt: "x"}) },
			e.Close,
		} {
			go func() { errs <- write() }()
			synctest.Wait()
		}
		for range 3 {
			<-g.arrived
			if g.closed {
				t.Error("closed before a write that had come before")
			}
			g.pass <- nil
			synctest.Wait()
		}
		if err := errors.Join(<-errs, <-errs, <-errs, <-errs); err != nil || !g.closed {
			t.Error(err)
		}
	})
}

// Nothing is written after Close, whoever comes late: another supervisor may have the
// directory.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	dir := filepath.Join(fastTemp(t), "state")
	s := reach(t, dir)
	if err := errors.Join(s.Commit(t.Context(), numbered("main", 1)), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.onDisk().Update(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("written: %v", err)
	}
	reach(t, dir)
}

// A write that panics holds nobody up.
func TestPanicOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		for range 2 {
			if err := m.write(t.Context(), "main", func(*change) error { panic("secret") }); !errors.Is(err, ErrDisk) {
				t.Error(err)
			}
		}
		if err := m.Commit(t.Context(), numbered("main", 1)); !errors.Is(err, ErrDisk) {
			t.Error(err)
		}
		_ = m.Close()
	})
}

// A store that nothing is written to any more says so.
func TestPanicOfAWriteIsTold(t *testing.T) {
	s := reach(t, filepath.Join(fastTemp(t), "state"))
	if s.Fault() != nil {
		t.Fatal(s.Fault())
	}
	_ = s.write(t.Context(), "main", func(*change) error { panic("secret") })
	if err := s.Fault(); !errors.Is(err, ErrDisk) {
		t.Errorf("fault: %v", err)
	}
}

// What could not be read back is not written, and costs nobody else's change.
func TestIllegibleIsRefused(t *testing.T) {
	dir := filepath.Join(fastTemp(t), "state")
	s := reach(t, dir)
	if err := s.Commit(t.Context(), numbered("no\xffname", 1)); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if err := s.Intend(t.Context(), Intent{Account: "main", Attempt: "a", Before: &Intent{}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Abandon(t.Context(), "main", "a", Basis{}, Health{}); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if err := errors.Join(s.Commit(t.Context(), numbered("other", 1)), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := Peek(dir); err != nil {
		t.Error(err)
	}
}

// An older file that was put in the place of the state file while nobody looked is told by
// the backups that go further, whose versions count.
func TestOlderThanItsBackup(t *testing.T) {
	dir := filepath.Join(fastTemp(t), "state")
	s := reach(t, dir)
	last := numbered("main", 1)
	if err := s.Commit(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(s.Path())
	for n := range 5 {
		last = last.Next(recordtest.Token(n), OriginRefresh, "a", last.StoredAt.Add(time.Minute))
		err = errors.Join(err, s.Commit(t.Context(), last))
	}
	if err = errors.Join(err, s.Backup(t.Context()), s.Close(), os.WriteFile(s.Path(), older, 0o600)); err != nil {
		t.Fatal(err)
	}
	s = reach(t, dir)
	r, err := s.Load(t.Context(), "main")
	if restored := s.Restored(); err != nil || r.Version != last.Version || restored == nil || restored.Accounts[0].Newest {
		t.Errorf("version %d is taken (%v), restored: %+v", r.Version, err, restored)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = reach(t, dir); s.Restored() != nil { // once
		t.Error("restored again:", s.Restored().Cause)
	}
}
