package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree is everything in a directory, byte for byte.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var all bytes.Buffer
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(&all, path, info.Mode(), info.ModTime())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			_, _ = fmt.Fprintf(&all, "%d %x\n", len(b), sha256.Sum256(b))
			return err
		}
		return nil
	}))
	return all.String()
}

// An older program refuses what a newer one wrote, wherever it sees that, and
// leaves no trace.
func TestNewerFormatLeavesNoTrace(t *testing.T) {
	file := func(dir string) string { return filepath.Join(dir, store.FileName) }
	for name, prepare := range map[string]func(t *testing.T, dir string){
		"state file": func(t *testing.T, dir string) { setFormat(t, dir, file(dir), "4.0") },
		"backup, and the state file is gone": func(t *testing.T, dir string) {
			s := openStore(t, dir)
			commit(t, s, "main", 1, 1)
			must(t, errors.Join(s.Backup(t.Context()), s.Close(), os.Remove(file(dir))))
			for _, backup := range glob(t, filepath.Join(dir, "backup", "*")) {
				setFormat(t, dir, backup, "4.0")
			}
		},
		"backup, and the state file is damaged": func(t *testing.T, dir string) {
			s := openStore(t, dir)
			commit(t, s, "main", 1, 1)
			must(t, errors.Join(s.Backup(t.Context()), s.Close(), os.Truncate(file(dir), 9000)))
			for _, backup := range glob(t, filepath.Join(dir, "backup", "*")) {
				setFormat(t, dir, backup, "4.0")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			prepare(t, dir)
			before := tree(t, dir)
			s, err := store.Open(dir, store.Options{Fallback: filepath.Join(dir, "..", "fallback")})
			if !errors.Is(err, store.ErrNewerFormat) {
				_ = s.Close()
				t.Fatalf("opened: %v, want ErrNewerFormat", err)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
			if _, err := os.Stat(filepath.Join(dir, "..", "fallback")); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the fallback directory was made")
			}
		})
	}
}

// A directory where files are looked for, as a disk of its own has at its top, is nothing
// of a store that is gone: there was none.
func TestADirectoryAmongTheBackupsIsNoStore(t *testing.T) {
	dir := stateDir(t)
	must(t, os.MkdirAll(filepath.Join(dir, "backup", "lost+found"), 0o700))
	commit(t, openStore(t, dir), "main", 1, 1)
}

// A state file that is gone comes back from the newest good backup.
func TestStateFileGone(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 2)
	must(t, s.Intend(t.Context(), store.Intent{Account: "new", Attempt: "login"}))
	must(t, s.MarkDelivered(t.Context(), store.Delivery{Sink: "bot", Account: "main", Version: 2}))
	must(t, s.Close())
	s = openStore(t, dir) // backs up
	commit(t, s, "main", 3, 3)
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(dir, store.FileName)))
	must(t, os.WriteFile(filepath.Join(dir, "backup", "tokenkeeper-29990101T000000.000000Z.db"), []byte("torn"), 0o600))

	s = openStore(t, dir)
	wantVersion(t, s, "main", 2)
	report := s.Restored()
	if report == nil || report.Kept != "" || filepath.Dir(report.Base) != filepath.Join(dir, "backup") || report.BaseAt.IsZero() {
		t.Fatalf("report: %+v", report)
	}
	if a := report.Accounts; len(a) != 1 || a[0].Account != "main" || a[0].Version != 2 || a[0].Newest || a[0].Source != report.Base {
		t.Errorf("accounts: %+v", a)
	}
	if len(report.Missing) != 1 || report.Missing[0] != "new" {
		t.Errorf("missing: %v", report.Missing)
	}
	if _, ok, err := s.Intent(t.Context(), "new"); err != nil || !ok {
		t.Errorf("the intent is gone (%v)", err)
	}
	// Sinks get the next version, whose number they may have had before.
	if line, err := s.Delivery(t.Context(), "bot", "main"); err != nil || line != (store.Delivery{}) {
		t.Errorf("ledger: %+v, %v", line, err)
	}
	must(t, s.Close())
	if s = openStore(t, dir); s.Restored() != nil {
		t.Errorf("restored once more: %+v", s.Restored())
	}
}

// Without any backup, records are found in the ruins; an intent that a found
// record ended does not come back.
func TestSalvageAlone(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	for n := range manyAccounts {
		commit(t, s, accountName(n), 1, 6)
	}
	must(t, s.Close())
	file := filepath.Join(dir, store.FileName)
	b, err := os.ReadFile(file)
	must(t, err)
	clear(b[:2*4096]) // both meta pages
	must(t, os.WriteFile(file, b, 0o600))
	s = openStore(t, dir)
	for n := range manyAccounts {
		wantVersion(t, s, accountName(n), 6)
	}
	report := s.Restored()
	if report == nil || report.Base != "" || report.Accounts[0].Newest || report.Accounts[0].Source != file {
		t.Errorf("report: %+v", report)
	}
}

// With nothing to restore from, nothing is touched and the operator told.
func TestNothingLeft(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 1)
	must(t, s.Close())
	file := filepath.Join(dir, store.FileName)
	must(t, os.WriteFile(file, bytes.Repeat([]byte{0xA5}, 1<<16), 0o600))
	before := tree(t, dir)
	if s, err := store.Open(dir, store.Options{}); !errors.Is(err, store.ErrDamaged) {
		_ = s.Close()
		t.Fatalf("opened (%v)", err)
	}
	if after := tree(t, dir); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// What a start that was killed has left is no damage.
func TestInterruptedFirstStart(t *testing.T) {
	for name, left := range map[string]string{store.FileName: "", store.FileName + ".new": "torn"} {
		dir := stateDir(t)
		must(t, errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, name), []byte(left), 0o600)))
		s := openStore(t, dir)
		commit(t, s, "main", 1, 1)
		if s.Restored() != nil {
			t.Errorf("%q: restored: %+v", name, s.Restored())
		}
	}
}
