package store_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
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
		"state file": func(t *testing.T, dir string) { setFormat(t, dir, file(dir), "3.0") },
		"backup, and the state file is gone": func(t *testing.T, dir string) {
			s := openBolt(t, dir)
			commit(t, s, "main", 1, 1)
			must(t, errors.Join(s.Backup(t.Context()), s.Close(), os.Remove(file(dir))))
			for _, backup := range glob(t, filepath.Join(dir, "backup", "*")) {
				setFormat(t, dir, backup, "3.0")
			}
		},
		"backup, and the state file is damaged": func(t *testing.T, dir string) {
			s := openBolt(t, dir)
			commit(t, s, "main", 1, 1)
			must(t, errors.Join(s.Backup(t.Context()), s.Close(), os.Truncate(file(dir), 9000)))
			for _, backup := range glob(t, filepath.Join(dir, "backup", "*")) {
				setFormat(t, dir, backup, "3.0")
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

// A store of the first format becomes one of today's, and the old file is
// among the backups, as it was; later backups do not push it out.
func TestUpgrade(t *testing.T) {
	packed, err := os.Open(filepath.Join("testdata", "1.0", store.FileName+".gz"))
	must(t, err)
	defer func() { _ = packed.Close() }()
	z, err := gzip.NewReader(packed)
	must(t, err)
	old, err := io.ReadAll(z)
	must(t, err)
	dir := stateDir(t)
	must(t, errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, store.FileName), old, 0o600)))

	now := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	s, err := store.Open(dir, store.Options{Now: func() time.Time { return now }})
	must(t, err)
	backups := glob(t, filepath.Join(dir, "backup", "*"))
	if len(backups) != 1 {
		t.Fatalf("backups: %v", backups)
	}
	r, err := s.Load(t.Context(), "saxo-live")
	must(t, err)
	in, ok, err := s.Intent(t.Context(), "saxo-live")
	if err != nil || !ok || r.Version != 42 {
		t.Fatalf("version %d, intent %v, %v", r.Version, ok, err)
	}
	must(t, s.Commit(t.Context(), r.Next(storetest.Token("saxo-live", 43), store.OriginRefresh, in.Attempt, now)))
	for range 10 {
		now = now.AddDate(0, 0, 1)
		must(t, s.Backup(t.Context()))
	}
	must(t, s.Close())
	if kept, err := os.ReadFile(backups[0]); err != nil || !bytes.Equal(kept, old) {
		t.Errorf("the old file is not kept as it was: %v", err)
	}
	s, err = store.Open(dir, store.Options{})
	must(t, err)
	defer func() { _ = s.Close() }()
	wantVersion(t, s, "saxo-live", 43)
	if s.Restored() != nil {
		t.Errorf("restored: %+v", s.Restored())
	}
}

// A state file that is gone comes back from the newest good backup.
func TestStateFileGone(t *testing.T) {
	dir := stateDir(t)
	s := openBolt(t, dir)
	commit(t, s, "main", 1, 2)
	must(t, s.Intend(t.Context(), store.Intent{Account: "new", Attempt: "login"}))
	must(t, s.MarkDelivered(t.Context(), store.Delivery{Sink: "bot", Account: "main", Version: 2}))
	must(t, s.Close())
	s = openBolt(t, dir) // backs up
	commit(t, s, "main", 3, 3)
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(dir, store.FileName)))
	must(t, os.WriteFile(filepath.Join(dir, "backup", "tokenkeeper-29990101T000000.000000Z.db"), []byte("torn"), 0o600))

	s = openBolt(t, dir)
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
	if ledger, err := s.Deliveries(t.Context(), "bot"); err != nil || len(ledger) > 0 {
		t.Errorf("ledger %v, %v", ledger, err)
	}
	must(t, s.Close())
	if s = openBolt(t, dir); s.Restored() != nil {
		t.Errorf("restored once more: %+v", s.Restored())
	}
}

// Without any backup, records are found in the ruins; an intent that a found
// record ended does not come back.
func TestSalvageAlone(t *testing.T) {
	dir := stateDir(t)
	s := openBolt(t, dir)
	for n := range manyAccounts {
		commit(t, s, accountName(n), 1, 6)
	}
	must(t, s.Close())
	file := filepath.Join(dir, store.FileName)
	b, err := os.ReadFile(file)
	must(t, err)
	clear(b[:2*4096]) // both meta pages
	must(t, os.WriteFile(file, b, 0o600))
	s = openBolt(t, dir)
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
	s := openBolt(t, dir)
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
		s := openBolt(t, dir)
		commit(t, s, "main", 1, 1)
		if s.Restored() != nil {
			t.Errorf("%q: restored: %+v", name, s.Restored())
		}
	}
}

// Bits that rot while the store is open are found by the daily backup, before
// the good backups have been pushed out.
func TestBackupFindsDamage(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	s, err := store.Open(dir, store.Options{Trouble: told.add})
	must(t, err)
	commit(t, s, "main", 1, 3)
	f, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(make([]byte, 4*4096), 2*4096)
	must(t, errors.Join(err, f.Close()))
	must(t, s.Backup(t.Context()))
	if got := told.String(); got != "fault recovered" {
		t.Errorf("told %q", got)
	}
	commit(t, s, "main", 4, 4)
	s.Die()
	s = openBolt(t, dir)
	wantVersion(t, s, "main", 4)
	if s.Restored() != nil {
		t.Errorf("restored: %+v", s.Restored())
	}
}

// A backup a day is kept for seven days; damaged ones do not count; many in a
// day leave the earlier days alone.
func TestBackupRotation(t *testing.T) {
	now := time.Date(2026, 10, 20, 23, 30, 0, 0, time.UTC)
	dir := stateDir(t)
	s, err := store.Open(dir, store.Options{Now: func() time.Time { return now }})
	must(t, err)
	defer func() { _ = s.Close() }()
	if s.BackupDue(now) {
		t.Error("a backup of nothing is due")
	}
	commit(t, s, "main", 1, 1)
	place := filepath.Join(dir, "backup")
	backup := func(want int) {
		t.Helper()
		if !s.BackupDue(now) {
			t.Errorf("%v: no backup is due", now)
		}
		must(t, s.Backup(t.Context()))
		if s.BackupDue(now) || s.BackupDue(now.Add(23*time.Hour)) {
			t.Errorf("%v: the next backup is due", now)
		}
		if got := len(glob(t, filepath.Join(place, "*"))); got != want {
			t.Errorf("%v: %d backups, want %d", now, got, want)
		}
	}
	for day := 1; day <= 9; day++ {
		backup(min(day, 7))
		now = now.Add(24 * time.Hour)
	}
	oldest := glob(t, filepath.Join(place, "*"))[0]
	damaged := glob(t, filepath.Join(place, "*"))[6]
	must(t, os.Truncate(damaged, 5000))
	for range 5 {
		commit(t, s, "main", mustVersion(t, s)+1, mustVersion(t, s)+1)
		must(t, s.Backup(t.Context()))
		now = now.Add(time.Minute)
	}
	// Six good days, today among them… and the damaged one, as long as there
	// are not seven good ones.
	if _, err := os.Stat(oldest); err != nil {
		t.Errorf("a good backup was pushed out by a damaged one: %v", err)
	}
	now = now.Add(-48 * time.Hour) // the clock is put back
	if !s.BackupDue(now) {
		t.Error("no backup is due while the clock catches up")
	}
	commit(t, s, "main", mustVersion(t, s)+1, mustVersion(t, s)+1)
	must(t, s.Backup(t.Context()))
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(dir, store.FileName)))
	s = openBolt(t, dir)
	wantVersion(t, s, "main", 7) // the newest, whatever the names say
	info, err := os.Stat(s.Restored().Base)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("a backup has mode %04o", info.Mode().Perm())
	}
}

func mustVersion(t testing.TB, s store.Store) uint64 {
	t.Helper()
	r, err := s.Load(t.Context(), "main")
	must(t, err)
	return r.Version
}

// A backup is a state file: put in its place, it opens, also with bbolt alone.
func TestBackupOpens(t *testing.T) {
	dir := stateDir(t)
	s := openBolt(t, dir)
	commit(t, s, "main", 1, 3)
	must(t, errors.Join(s.Backup(t.Context()), s.Close()))
	backup := glob(t, filepath.Join(dir, "backup", "*"))[0]
	other := stateDir(t)
	b, err := os.ReadFile(backup)
	must(t, errors.Join(err, os.Mkdir(other, 0o700), os.WriteFile(filepath.Join(other, store.FileName), b, 0o600)))
	s = openBolt(t, other)
	wantVersion(t, s, "main", 3)
	commit(t, s, "main", 4, 4)
	if s.Restored() != nil {
		t.Errorf("restored: %+v", s.Restored())
	}
	db := openRaw(t, dir, backup)
	defer func() { _ = db.Close() }()
	must(t, db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return nil
	}))
}
