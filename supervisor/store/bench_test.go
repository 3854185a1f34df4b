package store_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// BenchmarkFdatasync is what the disk gives: one page written and synced. The
// other benchmarks are quoted as ratios to it:
//
//	go test -run '^$' -bench . ./supervisor/store
func BenchmarkFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	if _, err := f.Write(make([]byte, 64*len(page))); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		page[0]++
		if _, err := f.WriteAt(page, int64(n%64*len(page))); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit is one record, committed by a lone caller.
func BenchmarkCommit(b *testing.B) {
	s := openStore(b, stateDir(b))
	r := storetest.First("main")
	for b.Loop() {
		if err := s.Commit(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		r.Version, r.Grant = r.Version+1, r.Grant+1
	}
}

// BenchmarkAttempt is what a refresh costs here: intent and commit, in a store
// of a hundred accounts.
func BenchmarkAttempt(b *testing.B) {
	s := openStore(b, stateDir(b))
	for n := range 100 {
		if err := s.Commit(b.Context(), storetest.First(fmt.Sprint("account-", n))); err != nil {
			b.Fatal(err)
		}
	}
	r := storetest.First("account-50")
	for b.Loop() {
		if err := s.Intend(b.Context(), store.Intent{Account: r.Account, Attempt: "a", Version: r.Version}); err != nil {
			b.Fatal(err)
		}
		r.Version, r.Grant, r.Attempt = r.Version+1, r.Grant+1, "a"
		if err := s.Commit(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommitParallel is one record of one account, while a hundred
// accounts commit at once.
func BenchmarkCommitParallel(b *testing.B) {
	const callers = 100
	s := openStore(b, stateDir(b))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for n := range callers {
		r := storetest.First(fmt.Sprint("account-", n))
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := s.Commit(b.Context(), r); err != nil {
					b.Error(err)
					return
				}
				r.Version, r.Grant = r.Version+1, r.Grant+1
			}
		})
	}
	wg.Wait()
}

// BenchmarkLoad reads one record of a thousand.
func BenchmarkLoad(b *testing.B) {
	s := openStore(b, stateDir(b))
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() {
			if err := s.Commit(b.Context(), storetest.First(fmt.Sprint("account-", n))); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		if _, err := s.Load(b.Context(), "account-500"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens a store of a hundred thousand accounts, each with a line of one
// sink's ledger, and says what the process holds then. In short it is a thousand.
func BenchmarkOpen(b *testing.B) {
	accounts := 100_000
	if testing.Short() {
		accounts = 1000
	}
	dir := stateDir(b)
	fill(b, dir, accounts)
	b.ResetTimer()
	before := cpu(b)
	for b.Loop() {
		s, err := store.Open(dir, store.Options{})
		must(b, err)
		if heads, err := s.Heads(b.Context()); err != nil || len(heads) != accounts {
			b.Fatal(len(heads), err)
		}
		b.StopTimer()
		b.ReportMetric((cpu(b) - before).Seconds(), "cpu-s")
		debug.FreeOSMemory()
		b.ReportMetric(pss(b), "PSS-MiB")
		must(b, s.Close())
		before = cpu(b)
		b.StartTimer()
	}
}

// fill makes a state file as one that was just made compact.
func fill(b *testing.B, dir string, accounts int) {
	values, at := map[string][]byte{}, time.Now().UTC()
	for n := range accounts {
		name := fmt.Sprint("account-", n)
		r, err := record.Encode(storetest.First(name))
		must(b, err)
		line, err := json.Marshal(store.Delivery{Sink: "bot", Account: name, Version: 1, At: at, Result: store.ResultDelivered, TriedVersion: 1, TriedAt: at})
		must(b, err)
		values["accounts/"+name+"/record"], values["ledger/bot/"+name] = r, line
	}
	must(b, os.Mkdir(dir, 0o700))
	f, err := journal.Create(filepath.Join(dir, store.FileName), journal.Fresh{Values: values, Sequence: 1, At: at, Format: journal.Version})
	must(b, err)
	must(b, f.Close())
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func pss(b *testing.B) (mib float64) {
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	must(b, err)
	_, rest, _ := strings.Cut(string(rollup), "Pss:")
	_, err = fmt.Sscan(rest, &mib)
	must(b, err)
	return mib / 1024
}
