package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// This file knows the layout of a state file, as the README tells it.

// physical is where a byte of the log is in the file.
func physical(lane, at int) int { return 8192 + (at/65536*2+lane)*65536 + at%65536 }

// logOf is the first copy of the log.
func logOf(file []byte) (log []byte) {
	for at := 0; physical(0, at) < len(file); at++ {
		log = append(log, file[physical(0, at)])
	}
	return log
}

// framesOf are where in the log of a state file each frame begins, and its end.
func framesOf(file []byte) (at []int) {
	log, end := logOf(file), 0
	for len(log) >= end+36 && string(log[end:end+3]) == "TKJ" {
		at = append(at, end)
		end += 36 + int(binary.LittleEndian.Uint32(log[end+8:]))
	}
	return append(at, end)
}

// putFrame writes a frame into both copies of a file, behind the last one.
func putFrame(t *testing.T, path string, kind byte, body []byte) {
	t.Helper()
	file, err := os.ReadFile(path)
	must(t, err)
	log, frames := logOf(file), framesOf(file)
	last := frames[max(0, len(frames)-2):]
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	b := append([]byte("TKJ"), 3, kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, log[last[1]-4:last[1]]...)
	b = binary.LittleEndian.AppendUint64(b, binary.LittleEndian.Uint64(log[last[0]+16:])+1)
	b = append(append(b, make([]byte, 8)...), body...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	for n, c := range b {
		for lane := range 2 {
			file[physical(lane, last[1]+n)] = c
		}
	}
	must(t, os.WriteFile(path, file, 0o600))
}

// setFormat makes the file one of another format.
func setFormat(t testing.TB, dir, file, version string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	img, err := journal.Read(file)
	must(t, err)
	defer img.Close()
	values := map[string][]byte{}
	for key, value := range img.All() {
		values[key] = bytes.Clone(value)
	}
	if !img.Empty {
		must(t, os.Remove(file))
	}
	f, err := journal.Create(file, journal.Fresh{Values: values, Sequence: img.Sequence + 1, Format: version})
	must(t, err)
	f.Drop()
}

// A store that was moved says where to, and nobody goes on in it: also not from its
// backups.
func TestMoved(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 1)
	must(t, errors.Join(s.Backup(t.Context()), s.Close()))
	putFrame(t, filepath.Join(dir, store.FileName), 3, []byte("postgres://db"))
	_, err := store.Open(dir, store.Options{})
	wantMoved := func(what string, err error) {
		if !errors.Is(err, store.ErrMoved) || !strings.Contains(err.Error(), "postgres://db") {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantMoved("opened", err)
	_, err = store.Peek(dir)
	wantMoved("inspected", err)
}

// What is sealed is not taken for damage: a program that can't open it refuses the store.
func TestSealedValues(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 1)
	must(t, s.Close())
	key, value := "accounts/other/record", "sealed"
	body := append([]byte{0, 1, byte(len(key)), 0, byte(len(value)), 0, 0, 0}, key+value...)
	putFrame(t, filepath.Join(dir, store.FileName), 0, body)
	if _, err := store.Open(dir, store.Options{}); !errors.Is(err, store.ErrNewerFormat) || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("opened: %v", err)
	}
}
