package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Nobody waits for a FIFO among the backups, and nobody reads the hole by which
// somebody has made a file longer than memory is.
func TestFilesThatNobodyWrote(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 3)
	must(t, s.Backup(t.Context()))
	must(t, s.Close())
	backup := store.Backups(dir)[0]
	fifo := filepath.Join(dir, "backup", "tokenkeeper-29991231T230000.000000Z.db")
	must(t, unix.Mkfifo(fifo, 0o600))
	must(t, unix.Mkfifo(filepath.Join(dir, store.FileName+".x"), 0o600))
	if _, err := store.ReadReport(fifo); err == nil {
		t.Error("a FIFO is reported on")
	}
	for _, path := range []string{filepath.Join(dir, store.FileName), backup} {
		must(t, os.Truncate(path, 1<<40))
		r, err := store.ReadReport(path)
		if err != nil || len(r.Accounts) != 1 || r.Accounts[0].Version != 3 {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
	s = openStore(t, dir)
	wantVersion(t, s, "main", 3)
	commit(t, s, "main", 4, 4)
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(dir, store.FileName)))
	s = openStore(t, dir) // from a backup, past what is none
	if s.Restored() == nil {
		t.Error("nothing is restored")
	}
	must(t, s.Close())
}
