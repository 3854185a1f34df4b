package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// fastDir is a directory in memory if there is one: what is tested does not
// depend on the disk, and each store costs a few fsyncs.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tokenkeeper-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

const (
	manyAccounts = 14
	backedUpAt   = 3 // the version of each account that the backup has
	newestAt     = 5
)

func accountName(n int) string { return fmt.Sprintf("account-%02d", n) }

// worn is a state directory with a backup, and what its file holds: a log over more than
// one pair of stripes.
// early is what the file held at the time of the backup.
func worn(t testing.TB) (dir string, file, early []byte) {
	t.Helper()
	dir = filepath.Join(fastDir(t), "state")
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(first, last uint64) {
		for n := range manyAccounts {
			commit(t, s, accountName(n), first, last)
		}
	}
	fill(1, backedUpAt)
	if err := s.Backup(t.Context()); err != nil {
		t.Fatal(err)
	}
	early, err = os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	fill(backedUpAt+1, newestAt)
	intent := store.Intent{Account: accountName(2), Attempt: "open", Version: newestAt}
	delivery := store.Delivery{Sink: "bot", Account: accountName(3), Version: newestAt}
	alert := event.Alert{Key: "needs_login:" + accountName(4), Version: 1, Account: accountName(4), Message: "log in"}
	if err := errors.Join(s.Intend(t.Context(), intent), s.MarkDelivered(t.Context(), delivery), s.SaveAlert(t.Context(), alert), s.Close()); err != nil {
		t.Fatal(err)
	}
	file, err = os.ReadFile(filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return dir, file, early
}

// anew is what a state file holds when it has just been written anew.
func anew(t *testing.T, dir string, file []byte) []byte {
	t.Helper()
	s := openStore(t, damaged(t, dir, file))
	s.Compact(1)
	must(t, errors.Join(s.SaveAlert(t.Context(), event.Alert{Key: "disk_trouble:x", Version: 1}), s.Close()))
	return read(t, s.Path())
}

// damaged is a copy of a state directory with another state file.
func damaged(t *testing.T, dir string, file []byte) (place string) {
	t.Helper()
	place = filepath.Join(fastDir(t), "state")
	must(t, os.CopyFS(place, os.DirFS(dir)))
	path := filepath.Join(place, store.FileName)
	must(t, errors.Join(os.Chmod(place, 0o700), os.Chmod(filepath.Join(place, "backup"), 0o700),
		os.WriteFile(path, file, 0o600), os.Chmod(path, 0o600)))
	return place
}

// goesOn checks that the store in place is whole from now on, and takes changes.
func goesOn(t *testing.T, what, place string, s *store.Journal) {
	t.Helper()
	r, err := s.Load(t.Context(), accountName(0))
	must(t, err)
	must(t, errors.Join(s.Commit(t.Context(), r.Next(storetest.Token("x", 1), store.OriginLogin, "a", time.Now())), s.Close()))
	if s, err = store.Open(place, store.Options{}); err != nil || s.Restored() != nil {
		t.Fatalf("%s: opened once more: %v", what, err)
	}
	if now, _ := s.Load(t.Context(), accountName(0)); now.Version != r.Version+1 {
		t.Fatalf("%s: the commit after it is lost", what)
	}
	must(t, s.Close())
	if journal.ReadBytes(read(t, filepath.Join(place, store.FileName))).Worn {
		t.Fatalf("%s: the file has not both copies of everything", what)
	}
}

// Whatever happens to one block, every account has its newest record, and both copies of
// it again.
func TestEveryBlockDamaged(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	t.Parallel()
	dir, file, early := worn(t)
	damages := map[string]func(b []byte, at int){
		"zeros":                 func(b []byte, at int) { clear(b[at : at+4096]) },
		"garbage":               func(b []byte, at int) { copy(b[at:], bytes.Repeat([]byte{0xA5}, 4096)) },
		"a bit in the head":     func(b []byte, at int) { b[at+10] ^= 2 },
		"a bit in the content":  func(b []byte, at int) { b[at+1900] ^= 4 },
		"an earlier content":    func(b []byte, at int) { copy(b[at:at+4096], early[min(at, len(early)):]) },
		"a neighbour's content": func(b []byte, at int) { copy(b[at:at+4096], bytes.Clone(b[max(0, at-4096):])) },
	}
	blocks := 0
	for name, damage := range damages {
		for at := 0; at < len(file); at += 4096 {
			b := bytes.Clone(file)
			damage(b, at)
			if bytes.Equal(b, file) {
				continue
			}
			blocks++
			what := fmt.Sprintf("block %d: %s", at/4096, name)
			place := damaged(t, dir, b)
			s, err := store.Open(place, store.Options{})
			if err != nil || s.Restored() != nil {
				t.Fatalf("%s: %v; restored: %+v", what, err, s.Restored())
			}
			for n := range manyAccounts {
				wantVersion(t, s, accountName(n), newestAt)
			}
			if in, ok, err := s.Intent(t.Context(), accountName(2)); err != nil || !ok || in.Attempt != "open" {
				t.Fatalf("%s: the intent is gone (%v)", what, err)
			}
			goesOn(t, what, place, s)
		}
	}
	t.Logf("%d damaged blocks", blocks)
	if blocks < 200 {
		t.Error("hardly anything was damaged")
	}
}

// A frame that is damaged in both of its copies costs that frame and no other, and a file
// that is cut off what stood behind: the store is restored, and says the truth about each
// account.
func TestEveryFrameDamaged(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	t.Parallel()
	dir, file, _ := worn(t)
	frames := framesOf(file)
	restored, older := 0, 0
	try := func(what string, b []byte, most int) {
		t.Helper()
		place := damaged(t, dir, b)
		s, err := store.Open(place, store.Options{})
		if err != nil || s.Restored() == nil {
			t.Fatalf("%s: %v", what, err)
		}
		restored++
		lost := checkOpened(t, what, s, b)
		if lost > most {
			t.Fatalf("%s: %d records are not the newest, at most %d can be lost", what, lost, most)
		}
		older += lost
		goesOn(t, what, place, s)
	}
	for n, begin := range frames[:len(frames)-1] {
		try(fmt.Sprint("frame ", n), withoutFrame(bytes.Clone(file), begin, frames[n+1]), 1)
	}
	fresh := anew(t, dir, file)
	frames, log := framesOf(fresh), logOf(fresh)
	for n, begin := range frames[:len(frames)-1] {
		if kind := log[begin+4]; kind != 0 {
			try(fmt.Sprint("frame ", n, " of a fresh file"), withoutFrame(bytes.Clone(fresh), begin, frames[n+1]), manyAccounts/2)
		}
	}
	for at := 4096; at < len(file); at += 3 * 4096 {
		try(fmt.Sprint("cut off at ", at), file[:at], manyAccounts)
	}
	t.Logf("%d damaged files, in which %d of %d records were not the newest", restored, older, restored*manyAccounts)
	if restored < 80 || older < manyAccounts {
		t.Error("hardly anything was damaged")
	}
}

// withoutFrame damages both copies of what stands in the log from begin to end.
func withoutFrame(b []byte, begin, end int) []byte {
	for at := begin; at < end; at++ {
		b[physical(0, at)], b[physical(1, at)] = 0, 0xA5
	}
	return b
}

// checkOpened checks a store whose file was damaged, and returns how many
// records are not the newest.
func checkOpened(t *testing.T, what string, s *store.Journal, file []byte) (older int) {
	t.Helper()
	list, err := storetest.Records(t.Context(), s)
	if err != nil || len(list) != manyAccounts {
		t.Fatalf("%s: %d records, %v", what, len(list), err)
	}
	report := s.Restored()
	for n, r := range list {
		if !r.Token.RefreshToken.Equal(storetest.Token(r.Account, r.Version).RefreshToken) || r.Version < backedUpAt {
			t.Fatalf("%s: version %d of %s is one that nobody stored", what, r.Version, r.Account)
		}
		if r.Version == newestAt {
			continue
		}
		older++
		if report == nil {
			t.Fatalf("%s: %s has version %d, and nobody saw it", what, r.Account, r.Version)
		}
		if report.Accounts[n].Newest {
			t.Fatalf("%s: %s has version %d, which is said to be the newest", what, r.Account, r.Version)
		}
	}
	if report == nil {
		return older
	}
	if len(report.Accounts) != manyAccounts || len(report.Missing) > 0 || !errors.Is(report.Cause, store.ErrDamaged) || report.Base == "" {
		t.Fatalf("%s: %+v", what, report)
	}
	// What was damaged is kept as it was.
	if kept, err := os.ReadFile(report.Kept); err != nil || !bytes.Equal(kept, file) {
		t.Fatalf("%s: the damaged file is not kept (%v)", what, err)
	}
	return older
}
