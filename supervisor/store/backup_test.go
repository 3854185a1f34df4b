package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Bits that rot while the store is open are found by the daily backup, before
// the good backups have been pushed out.
func TestBackupFindsDamage(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	s, err := store.Open(dir, store.Options{Trouble: told.add})
	must(t, err)
	commit(t, s, "main", 1, 3)
	f, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	_, err = f.WriteAt(make([]byte, 4*4096), 2*4096)
	// A disk sets no times.
	must(t, errors.Join(err, f.Close(), os.Chtimes(s.Path(), time.Time{}, info.ModTime())))
	must(t, s.Backup(t.Context()))
	if got := told.String(); got != "fault recovered" {
		t.Errorf("told %q", got)
	}
	commit(t, s, "main", 4, 4)
	s.Die()
	s = openStore(t, dir)
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
	// A damaged one goes when there are seven good ones.
	must(t, os.WriteFile(strings.Replace(glob(t, filepath.Join(place, "*"))[0], "2026", "2025", 1), make([]byte, 5000), 0o600))
	backup(7)
	now = now.Add(24 * time.Hour)
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
	s = openStore(t, dir)
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

// A backup is a state file: put in its place, it opens.
func TestBackupOpens(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 3)
	must(t, errors.Join(s.Backup(t.Context()), s.Close()))
	backup := glob(t, filepath.Join(dir, "backup", "*"))[0]
	other := stateDir(t)
	b, err := os.ReadFile(backup)
	must(t, errors.Join(err, os.Mkdir(other, 0o700), os.WriteFile(filepath.Join(other, store.FileName), b, 0o600)))
	s = openStore(t, other)
	wantVersion(t, s, "main", 3)
	commit(t, s, "main", 4, 4)
	if s.Restored() != nil {
		t.Errorf("restored: %+v", s.Restored())
	}
}

// A backup of which the end is missing is none to restore from, though nothing stood behind
// that.
func TestABackupWithoutItsEndIsNotOffered(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	for n := range manyAccounts {
		commit(t, s, accountName(n), 1, 1)
	}
	s.Compact(1)
	must(t, errors.Join(s.SaveAlert(t.Context(), event.Alert{Key: "disk_trouble:x", Version: 1}), s.Backup(t.Context()), s.Close()))
	kept := filepath.Join(t.TempDir(), "kept.db")
	b := read(t, store.Backups(dir)[0])
	frames := framesOf(b)
	for _, harmed := range []bool{false, true} {
		if harmed {
			withoutFrame(b, frames[len(frames)-2], frames[len(frames)-1])
		}
		must(t, os.WriteFile(kept, b, 0o600))
		if _, err := store.OfferBackup([]string{stateDir(t)}, kept, time.Now()); errors.Is(err, store.ErrDamaged) != harmed || !harmed && err != nil {
			t.Errorf("without its end: %t: %v", harmed, err)
		}
	}
}
