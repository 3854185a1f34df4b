package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
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

// worn is a state directory with a backup, and what its file holds: several
// leaf pages below a branch page, and free pages with older versions.
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

// A damaged byte anywhere is seen, or it changes nothing of what is read.
func TestEveryByteCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	_, file, _ := worn(t)
	want, err := store.ReadImage(file)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	used := len(bytes.TrimRight(file, "\x00"))
	seen, tried := 0, 0
	for at := 0; at < used; at++ {
		// All of the meta pages and of the pages' heads, where the structure
		// is, and a sample of the rest.
		if at >= 2*page && at%page >= 256 && at%37 != 0 || at < 2*page && at%page >= 128 {
			continue
		}
		file[at] ^= 1 << (at % 8)
		got, err := store.ReadImage(file)
		file[at] ^= 1 << (at % 8)
		tried++
		if err != nil {
			seen++
			if errors.Is(err, store.ErrNewerFormat) && !bytes.HasSuffix(file[:at], []byte("meta/format")) {
				t.Fatalf("byte %d: damage is taken for a newer program's work", at)
			}
			for key, value := range got {
				// A line of the ledger has no checksum of its own: nothing of a
				// damaged file's ledger is used (TestStateFileGone).
				if strings.HasPrefix(key, "ledger/") {
					continue
				}
				if !bytes.Equal(value, want[key]) && want[key] != nil && !older(t, value, want[key]) {
					t.Fatalf("byte %d: %s is taken from a damaged file, but nobody wrote that", at, key)
				}
			}
			continue
		}
		if len(got) != len(want) {
			t.Fatalf("byte %d: %d of %d values are there, and nobody saw it", at, len(got), len(want))
		}
		for key := range want {
			if !bytes.Equal(got[key], want[key]) {
				t.Fatalf("byte %d: %s has changed, and nobody saw it", at, key)
			}
		}
	}
	t.Logf("%d bytes damaged, %d of them in use", tried, seen)
	if seen < tried/3 {
		t.Error("hardly any damage was seen: the test looks at unused pages")
	}
}

// older says whether value is one that was stored before: a damaged branch can
// lead to a page that was in use once.
func older(t *testing.T, value, newest []byte) bool {
	t.Helper()
	v := func(b []byte) (n int) {
		_, rest, _ := bytes.Cut(b, []byte(`"version":`))
		_, _ = fmt.Sscan(string(rest), &n)
		return n
	}
	return v(value) > 0 && v(value) <= v(newest)
}

// Whatever happens to a page, the store opens: with exactly what was stored, or
// restored, and then it says the truth about each account.
func TestEveryPageDamaged(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	dir, file, early := worn(t)
	damages := map[string]func(b []byte, at int) []byte{
		"zeros":   func(b []byte, at int) []byte { clear(b[at:min(at+4096, len(b))]); return b },
		"garbage": func(b []byte, at int) []byte { copy(b[at:], bytes.Repeat([]byte{0xA5}, 4096)); return b },
		"cut off": func(b []byte, at int) []byte { return b[:at] },
		"a bit in the head": func(b []byte, at int) []byte {
			b[at+10] ^= 2
			return b
		},
		"a bit in the content": func(b []byte, at int) []byte {
			b[at+1900] ^= 4
			return b
		},
		"an earlier content": func(b []byte, at int) []byte {
			copy(b[at:min(at+4096, len(b))], early[at:])
			return b
		},
		"a neighbour's content": func(b []byte, at int) []byte {
			copy(b[at:min(at+4096, len(b))], bytes.Clone(b[max(0, at-4096):]))
			return b
		},
	}
	good, restored, older := 0, 0, 0
	for name, damage := range damages {
		for at := 0; at < len(bytes.TrimRight(file, "\x00")); at += 4096 {
			place := filepath.Join(fastDir(t), "state")
			if err := os.CopyFS(place, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			damaged := damage(bytes.Clone(file), at)
			path := filepath.Join(place, store.FileName)
			err := errors.Join(os.Chmod(place, 0o700), os.Chmod(filepath.Join(place, "backup"), 0o700),
				os.WriteFile(path, damaged, 0o600), os.Chmod(path, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("page %d: %s", at/4096, name)
			s, err := store.Open(place, store.Options{})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			o := checkOpened(t, what, s, damaged)
			if s.Restored() == nil {
				good++
			} else {
				restored++
			}
			older += o
			// It goes on, and is whole from now on.
			r, err := s.Load(t.Context(), accountName(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Commit(t.Context(), r.Next(storetest.Token("x", 1), store.OriginLogin, "a", time.Now())), s.Close()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if s, err = store.Open(place, store.Options{}); err != nil || s.Restored() != nil {
				t.Fatalf("%s: opened once more: %v", what, err)
			}
			wantRecord, _ := s.Load(t.Context(), accountName(0))
			if wantRecord.Version != r.Version+1 {
				t.Fatalf("%s: the commit after it is lost", what)
			}
			_ = s.Close()
		}
	}
	t.Logf("%d damaged files: %d did not matter, %d restored, in which %d of %d records were not the newest",
		good+restored, good, restored, older, restored*manyAccounts)
	if restored < 20 || older == 0 {
		t.Error("hardly anything was damaged")
	}
}

// checkOpened checks a store whose file was damaged, and returns how many
// records are not the newest.
func checkOpened(t *testing.T, what string, s *store.Journal, damaged []byte) (older int) {
	t.Helper()
	list, err := s.List(t.Context())
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
	if kept, err := os.ReadFile(report.Kept); len(damaged) > 0 && (err != nil || !bytes.Equal(kept, damaged)) {
		t.Fatalf("%s: the damaged file is not kept (%v)", what, err)
	}
	return older
}

// FuzzReadImage: no bytes make the reader panic or run for ever, and what it
// believes of a file bbolt could not misread.
func FuzzReadImage(f *testing.F) {
	_, file, _ := worn(f)
	file = bytes.TrimRight(file, "\x00")
	f.Add([]byte{}, uint32(0))
	for at := range uint32(40) {
		f.Add(file[at*512%uint32(len(file)):][:64], at*512+10)
	}
	f.Fuzz(func(t *testing.T, patch []byte, at uint32) {
		b := slices.Clone(file)
		copy(b[int(at)%len(b):], patch)
		if values, err := store.ReadImage(b); err == nil && len(values) != 0 && len(values) != manyAccounts+2 {
			t.Errorf("%d values are believed", len(values))
		}
	})
}
