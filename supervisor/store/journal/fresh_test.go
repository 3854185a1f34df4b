package journal

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fresh file has its history, all values, and behind them room that the disk has given:
// whatever its length, the next change finds its place.
func TestFreshFile(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, count := range []int{0, 1, 63, 64, 65, 127, 128, 129, 400} {
		path := filepath.Join(t.TempDir(), "journal")
		f := Fresh{Values: map[string][]byte{}, Sequence: 1000, At: at, Format: Version}
		for n := range count {
			f.Values[fmt.Sprint("key-", n)] = bytes.Repeat([]byte{byte(n)}, 1024)
		}
		for n := range uint64(30) {
			f.History = append(f.History, Frame{sequence: n + 1, at: at, body: encodeChange(map[string][]byte{"gone": bytes.Repeat([]byte("x"), 5000)})})
		}
		j, err := Create(path, f)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		img := ReadBytes(file)
		if !img.EndsWell(j.Last()) || !maps.EqualFunc(valuesOf(img), f.Values, bytes.Equal) || img.fresh != img.end || img.end != j.End() || int64(len(file)) != j.Room {
			t.Errorf("%d values: %d of them, %v; the log ends at %d, said to be %d, in a file of %d bytes, said to be %d",
				count, len(img.values), img.Err, img.end, j.End(), len(file), j.Room)
		}
		if n := len(j.Tail(at, 1<<30)); n < 31 {
			t.Errorf("%d values: %d frames are its tail", count, n)
		}
		if hole, err := unix.Seek(j.Fd(), 0, unix.SEEK_HOLE); err == nil && hole < j.Room {
			t.Errorf("%d values: nothing stands from byte %d to %d", count, hole, j.Room)
		}
		if err := j.Append(1001, at, map[string][]byte{"next": []byte("1")}); err != nil {
			t.Fatal(err)
		}
		if err := Verify(path, j.Last()); err != nil {
			t.Error(err)
		}
		j.Drop()
	}
}
