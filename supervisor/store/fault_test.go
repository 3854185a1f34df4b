package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// troubles collects what a store tells.
type troubles struct {
	mu   sync.Mutex
	list []store.Trouble
}

func (t *troubles) add(x store.Trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, x)
}

// String is a word for each: fault or recovered.
func (t *troubles) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var words []string
	for _, x := range t.list {
		word := "fault"
		switch {
		case x.Recovered:
			word = "recovered"
		case x.Displaced:
			word = "displaced"
		}
		if x.What == "" || x.Path == "" || x.Recovered != (x.Err == nil) {
			word += fmt.Sprintf(" (incomplete: %+v)", x)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// wantVersion checks that a record is there, with its own token.
func wantVersion(t testing.TB, s store.Store, account string, version uint64) {
	t.Helper()
	r, err := s.Load(t.Context(), account)
	if err != nil || r.Version != version || !r.Token.RefreshToken.Equal(storetest.Token(account, version).RefreshToken) {
		t.Errorf("account %s has version %d with token %s (%v), want version %d", account, r.Version, r.Token.RefreshToken.Fingerprint(), err, version)
	}
}

// next is version n of an account.
func next(account string, n uint64) store.Record {
	r := storetest.First(account)
	r.Version, r.Grant, r.Token, r.Health = n, n, storetest.Token(account, n), store.Health{} // each of a login
	return r
}

// commit stores the versions from first to last.
func commit(t testing.TB, s store.Store, account string, first, last uint64) {
	t.Helper()
	for n := first; n <= last; n++ {
		if err := s.Commit(t.Context(), next(account, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// After a failed write the caller's change is durable in another file, and the
// old one is kept.
func TestFailedWriteGoesOn(t *testing.T) {
	for name, fail := range map[string]func(*store.Journal){"error": (*store.Journal).BreakFile, "panic": (*store.Journal).StopWrites} {
		t.Run(name, func(t *testing.T) {
			dir, told := stateDir(t), &troubles{}
			s, err := store.Open(dir, store.Options{Trouble: told.add})
			if err != nil {
				t.Fatal(err)
			}
			commit(t, s, "main", 1, 2)
			before := inode(t, s.Path())
			fail(s)
			commit(t, s, "main", 3, 4)
			if inode(t, s.Path()) == before {
				t.Error("it goes on in the file that failed")
			}
			if failed := glob(t, s.Path()+".failed-*"); len(failed) != 1 || inode(t, failed[0]) != before {
				t.Errorf("the file that failed is not kept: %v", failed)
			}
			if got := told.String(); got != "fault recovered" || s.Fault() != nil {
				t.Errorf("told %q, fault %v", got, s.Fault())
			}
			s.Die()
			s = openStore(t, dir)
			wantVersion(t, s, "main", 4)
			if s.Restored() != nil {
				t.Errorf("restored: %+v", s.Restored())
			}
		})
	}
}

// A disk that hangs is told after a second, and again when it answers; one that is only
// slow is not.
func TestDiskHangs(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(dir, store.Options{Trouble: told.add})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		s.Hang(900 * time.Millisecond)
		commit(t, s, "main", 1, 3)
		if told.String() != "" {
			t.Errorf("told %q of a slow disk", told)
		}
		s.Hang(5 * time.Second)
		done := make(chan error)
		go func() { done <- s.Commit(t.Context(), next("main", 4)) }()
		time.Sleep(1100 * time.Millisecond)
		if err := s.Fault(); told.String() != "fault" || !errors.Is(err, store.ErrDisk) {
			t.Errorf("told %q, fault %v", told, err)
		}
		wantVersion(t, s, "main", 3) // nobody waits to read
		must(t, <-done)
		if told.String() != "fault recovered" || s.Fault() != nil {
			t.Errorf("told %q, fault %v", told, s.Fault())
		}
		s.Hang(0)
	})
}

// A backup that can't be made is told, and over when one can.
func TestBackupFails(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	s, err := store.Open(dir, store.Options{Trouble: told.add})
	must(t, err)
	defer func() { _ = s.Close() }()
	commit(t, s, "main", 1, 1)
	inTheWay := filepath.Join(dir, "backup")
	must(t, os.WriteFile(inTheWay, nil, 0o600))
	if err := s.Backup(t.Context()); err == nil {
		t.Error("a backup was made")
	}
	must(t, os.Remove(inTheWay))
	for range 2 {
		must(t, s.Backup(t.Context()))
	}
	if told.String() != "fault recovered" {
		t.Errorf("told %q", told)
	}
}

// Files that failed do not pile up.
func TestFailedFilesAreFew(t *testing.T) {
	s := openStore(t, stateDir(t))
	for n := uint64(1); n <= 9; n++ {
		s.BreakFile()
		commit(t, s, "main", n, n)
	}
	if failed := glob(t, s.Path()+".failed-*"); len(failed) != 5 {
		t.Errorf("%d files are kept, want 5", len(failed))
	}
}

// With no file to write to, writes fail at once, reads go on, and when the disk
// is back the next write mends it all.
func TestDiskGone(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	disk := filepath.Dir(dir)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(dir, store.Options{Trouble: told.add})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, "main", 1, 1)
		rename(t, disk, disk+"-gone")
		s.BreakFile()
		for range 3 {
			err := s.Commit(t.Context(), next("main", 2))
			if !errors.Is(err, store.ErrDisk) || !strings.Contains(err.Error(), "main") {
				t.Fatalf("error %v, want ErrDisk and the account", err)
			}
			wantVersion(t, s, "main", 1)
		}
		if err := s.Backup(t.Context()); !errors.Is(err, store.ErrDisk) || !errors.Is(s.Fault(), store.ErrDisk) {
			t.Errorf("backing up: %v, fault: %v", err, s.Fault())
		}
		if err := s.Hold(t.Context(), next("main", 2)); err != nil {
			t.Fatal(err)
		}
		wantVersion(t, s, "main", 2)
		rename(t, disk+"-gone", disk)
		if err := s.Commit(t.Context(), next("main", 2)); !errors.Is(err, store.ErrDisk) {
			t.Errorf("%v: tried again at once", err)
		}
		time.Sleep(store.RetryAfter)
		commit(t, s, "main", 2, 3)
		if got := told.String(); got != "fault displaced recovered" || s.Fault() != nil {
			t.Errorf("told %q, fault %v", got, s.Fault())
		}
		s.Die()
	})
	wantVersion(t, openStore(t, dir), "main", 3)
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// The store goes on in the fallback directory, and moves back at a start.
func TestFallback(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	disk := filepath.Dir(dir)
	o := store.Options{Fallback: filepath.Join(t.TempDir(), "fallback"), Trouble: told.add, Timeout: time.Millisecond}
	open := func() *store.Journal {
		t.Helper()
		s, err := store.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open()
	commit(t, s, "main", 1, 3)
	rename(t, disk, disk+"-gone")
	commit(t, s, "main", 4, 5)
	if !strings.HasPrefix(s.Path(), o.Fallback) || told.String() != "displaced" {
		t.Fatalf("the store is in %s, told %q", s.Path(), told)
	}
	// It fails there as well, and is written there anew.
	s.BreakFile()
	commit(t, s, "main", 6, 6)
	if err := s.Backup(t.Context()); err != nil {
		t.Error(err)
	}
	s.Die()

	// Another supervisor with the same fallback does not see it.
	other, err := store.Open(stateDir(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := other.Heads(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("another supervisor's store is taken: %d records, %v", len(list), err)
	}
	_ = other.Close()

	rename(t, disk+"-gone", disk)
	for range 2 { // once more: nothing old comes back
		s = open()
		if !strings.HasPrefix(s.Path(), dir) || s.Restored() != nil {
			t.Fatalf("the store is in %s, restored: %+v", s.Path(), s.Restored())
		}
		wantVersion(t, s, "main", 6)
		_ = s.Close()
	}
	if left := glob(t, filepath.Join(o.Fallback, "*", store.FileName)); len(left) > 0 {
		t.Errorf("a state file stays in the fallback directory: %v", left)
	}
}

// No second supervisor gets in while files are replaced.
func TestExclusiveWhileReplacing(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if s, err := store.Open(dir, store.Options{Timeout: time.Microsecond}); !errors.Is(err, store.ErrInUse) {
					t.Errorf("a second supervisor got in (%v)", err)
					_ = s.Close()
					return
				}
			}
		})
	}
	for n := uint64(1); n <= 30; n++ {
		s.BreakFile()
		commit(t, s, "main", n, n)
	}
	close(done)
	wg.Wait()
}
