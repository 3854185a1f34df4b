package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// writeAll does everything that the store ever writes: makes the file, changes
// it, backs it up, puts a fresh one in its place, and opens it again.
func writeAll(dir string) error {
	runtime.LockOSThread()
	ctx := context.Background()
	versions := map[string]uint64{}
	step := func(s *store.Journal, account string) error {
		n := versions[account] + 1
		attempt := fmt.Sprint("attempt-", n)
		if err := s.Intend(ctx, store.Intent{Account: account, Attempt: attempt, Version: n - 1}); err != nil {
			return err
		}
		fmt.Println("intended-"+account, n-1)
		rec := next(account, n)
		rec.Attempt = attempt
		if err := s.Commit(ctx, rec); err != nil {
			return err
		}
		fmt.Println("acked-"+account, n)
		versions[account] = n
		return nil
	}
	for run := range 2 {
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			return err
		}
		err = errors.Join(step(s, "a"), step(s, "b"), step(s, "a"), s.Backup(ctx))
		if run == 0 {
			for n := range 12 { // several pages
				err = errors.Join(err, step(s, accountName(n)))
			}
		}
		s.Compact(1 << 10) // at the next change
		err = errors.Join(err, step(s, "b"))
		s.Compact(1 << 20)
		s.BreakFile()
		err = errors.Join(err, step(s, "b"))
		s.StopWrites()
		if err = errors.Join(err, step(s, "a"), step(s, "a"), s.Close()); err != nil {
			return err
		}
	}
	return nil
}

// The machine dies after every single system call, and of what was not synced
// nothing, a half or all is left: the store opens as it was committed, with all
// that was acknowledged, and never as a damaged one.
func TestEveryCrash(t *testing.T) {
	needStrace(t)
	dir := filepath.Join(fastDir(t), "state")
	_, trace, err := strace(t, dir, "trace", "-xx", "-s", "4000000", "-e", "trace="+crashCalls)
	must(t, err)
	disk := newCrashDisk(dir)
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[[32]byte]bool{}
	points, states := 0, 0
	for line := range strings.Lines(trace) {
		did, err := disk.step(strings.TrimSuffix(line, "\n"))
		must(t, err)
		if !did {
			continue
		}
		points++
		_, acked := said(t, disk.printed.String())
		for _, writes := range []float64{0, 0.5, 1} {
			for _, names := range []float64{0, 0.5, 1} {
				files := disk.crash(writes, names, random)
				if sum := stateSum(files, disk.printed.String()); !seen[sum] {
					seen[sum] = true
					states++
					checkCrash(t, fmt.Sprintf("point %d, %v of the writes, %v of the names", points, writes, names), dir, files, acked)
				}
			}
		}
		if t.Failed() {
			t.Fatal("after: ", line[:min(len(line), 150)])
		}
	}
	_, acked := said(t, disk.printed.String())
	t.Logf("%d points, %d different states of the disk, %d torn writes", points, states, disk.torn)
	if points < 150 || states < 300 || disk.torn < 50 || acked["acked-a"] != 8 {
		t.Errorf("the trace is not whole: %v", acked)
	}
}

func stateSum(files map[string][]byte, printed string) [32]byte {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		_, _ = fmt.Fprintln(h, path, len(files[path]))
		_, _ = h.Write(files[path])
	}
	_, _ = fmt.Fprint(h, printed)
	return [32]byte(h.Sum(nil))
}

func checkCrash(t *testing.T, what, root string, files map[string][]byte, acked map[string]uint64) {
	t.Helper()
	dir := filepath.Join(fastDir(t), "state")
	must(t, restoreTo(root, dir, files))
	defer func() { _ = os.RemoveAll(filepath.Dir(dir)) }()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer s.Die()
	if s.Restored() != nil {
		t.Errorf("%s: restored: %v", what, s.Restored().Cause)
	}
	list, err := storetest.Records(t.Context(), s)
	must(t, err)
	found := map[string]uint64{}
	for _, r := range list {
		found[r.Account] = r.Version
		wantVersion(t, s, r.Account, r.Version)
	}
	for key, version := range acked {
		kind, account, _ := strings.Cut(key, "-")
		in, stands, err := s.Intent(t.Context(), account)
		switch {
		case err != nil, kind == "acked" && (found[account] < version || found[account] > version+1):
			t.Errorf("%s: %s has version %d after %d was acknowledged (%v)", what, account, found[account], version, err)
		case kind == "intended" && found[account] == version && (!stands || in.Version != version):
			t.Errorf("%s: the intent of %s from version %d is gone", what, account, version)
		case stands && in.Version != found[account]:
			t.Errorf("%s: an intent of %s from version %d stands beside version %d", what, account, in.Version, found[account])
		}
	}
}
