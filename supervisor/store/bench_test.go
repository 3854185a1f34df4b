package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
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
// sink's ledger, in a process of its own, and says what that takes and holds then. The
// first start after a change makes a backup besides, whose cost stands apart, and so does
// that of a fresh file, which a change waits for. In short it is a thousand.
func BenchmarkOpen(b *testing.B) {
	accounts := 100_000
	if testing.Short() {
		accounts = 1000
	}
	dir := stateDir(b)
	fill(b, dir, accounts)
	self, err := os.Executable()
	must(b, err)
	info, err := os.Stat(filepath.Join(dir, store.FileName))
	must(b, err)
	run := func(scenario string) (cost opening) {
		child := exec.Command(self)
		child.Env = append(os.Environ(), childDir+"="+dir, childScenario+"="+scenario)
		out, err := child.CombinedOutput()
		must(b, err)
		if _, err := fmt.Sscan(string(out), &cost.accounts, &cost.cpu, &cost.pss, &cost.peak); err != nil || cost.accounts != accounts {
			b.Fatalf("%s (%v)", out, err)
		}
		return cost
	}
	for b.Loop() {
		first, again, anew := run("opening"), run("opening"), run("anew")
		b.ReportMetric(float64(info.Size())/(1<<20), "file-MiB")
		b.ReportMetric(anew.cpu, "anew-cpu-s")
		b.ReportMetric(anew.peak, "anew-peak-MiB")
		b.ReportMetric(again.cpu, "cpu-s")
		b.ReportMetric(first.cpu-again.cpu, "backup-cpu-s")
		b.ReportMetric(again.pss, "PSS-MiB")
		b.ReportMetric(again.peak, "peak-MiB")
		for _, over := range append(glob(b, filepath.Join(dir, store.FileName+".failed-*")), filepath.Join(dir, "backup")) {
			must(b, os.RemoveAll(over))
		}
	}
}

// opening is what it takes to open a store: CPU in seconds, memory in MiB.
type opening struct {
	accounts       int
	cpu, pss, peak float64
}

// openOnce opens a store, and says what that has taken.
func openOnce(dir string) error {
	before, err := cpu()
	if err != nil {
		return err
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	heads, err := s.Heads(context.Background())
	if err != nil {
		return err
	}
	after, err := cpu()
	if err != nil {
		return err
	}
	return errors.Join(tellCost(len(heads), after-before), s.Close())
}

// writeAnew opens a store, has it written into a fresh file, as compaction does, and says
// what that has taken.
func writeAnew(dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	heads, err := s.Heads(context.Background())
	if err != nil {
		return err
	}
	s.BreakFile()
	before, err := cpu()
	if err != nil {
		return err
	}
	if err := s.SaveAlert(context.Background(), event.Alert{Key: "disk_trouble:*", Version: 1}); err != nil {
		return err
	}
	after, err := cpu()
	return errors.Join(err, tellCost(len(heads), after-before), s.Close())
}

// tellCost prints what was taken, and what is held now.
func tellCost(accounts int, cpu time.Duration) error {
	debug.FreeOSMemory()
	now, err := memory("/proc/self/smaps_rollup", "Pss:")
	if err != nil {
		return err
	}
	peak, err := memory("/proc/self/status", "VmHWM:")
	fmt.Println(accounts, cpu.Seconds(), now, peak)
	return err
}

// fill makes a state file as one that was just made compact.
func fill(b *testing.B, dir string, accounts int) {
	values, at := map[string][]byte{}, time.Now().UTC()
	for n := range accounts {
		name := fmt.Sprint("account-", n)
		r, err := record.Encode(storetest.First(name))
		must(b, err)
		line, err := json.Marshal(store.Delivery{Sink: "bot", Account: name, Version: 1, At: at, Expiry: at.Add(20 * time.Minute), Result: store.ResultDelivered, TriedVersion: 1, TriedAt: at})
		must(b, err)
		values["accounts/"+name+"/record"], values["ledger/bot/"+name] = r, line
	}
	must(b, os.Mkdir(dir, 0o700))
	f, err := journal.Create(filepath.Join(dir, store.FileName), journal.Fresh{Values: values, Sequence: 1, At: at, Format: journal.Version})
	must(b, err)
	must(b, f.Close())
}

// cpu is what this process has taken of it.
func cpu() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// memory is what the kernel says of this process, in MiB.
func memory(file, name string) (mib float64, err error) {
	all, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(all), name)
	_, err = fmt.Sscan(rest, &mib)
	return mib / 1024, err
}
