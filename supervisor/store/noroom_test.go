package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// What is damaged in one of its copies keeps nobody from storing where no fresh file can be
// made, as on a full disk: it is put right where it is.
func TestWornFileWithoutRoomForAnother(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(dir, store.FileName)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 5)
	must(t, s.Close())
	whole := read(t, file)
	for name, at := range map[string]int{"the first head": 10, "the second head": 4096 + 10, "a frame": physical(1, framesOf(whole)[2]+40)} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		must(t, os.WriteFile(file, b, 0o600))
		inTheWay := file + ".new"
		must(t, os.MkdirAll(filepath.Join(inTheWay, "in the way"), 0o700))
		told := &troubles{}
		s, err := store.Open(dir, store.Options{Trouble: told.add})
		must(t, err)
		if s.Fault() != nil || told.String() != "fault recovered" {
			t.Errorf("%s: told %q, fault %v", name, told, s.Fault())
		}
		commit(t, s, "main", 6, 6)
		must(t, errors.Join(s.Close(), os.RemoveAll(inTheWay)))
		if img := journal.ReadBytes(read(t, file)); !img.Good() || img.Worn {
			t.Errorf("%s: worn: %t, %v", name, img.Worn, img.Err)
		}
		s = openStore(t, dir)
		wantVersion(t, s, "main", 6)
		if s.Restored() != nil {
			t.Errorf("%s: restored", name)
		}
		must(t, errors.Join(s.Close(), os.RemoveAll(filepath.Join(dir, "backup"))))
	}
}
