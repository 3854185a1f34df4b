package journal

import (
	"bytes"
	"errors"
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

// Where a part of the snapshot is missing, what stands in the history before it counts for
// the keys of that part; what was deleted there stays so. Of a whole snapshot nothing does.
func TestHistoryOfADamagedSnapshot(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	path, values := filepath.Join(t.TempDir(), "journal"), numbered(20)
	f := Fresh{Values: values, Sequence: 1000, At: at, Format: Version}
	for n, key := range []string{"key-001", "gone", "gone", "key-012"} {
		c := map[string][]byte{key: fmt.Appendf(nil, "of history %d", n)}
		if n == 2 {
			c[key] = nil
		}
		f.History = append(f.History, Frame{sequence: uint64(10 + n), at: at, body: encodeChange(c)})
	}
	j, err := Create(path, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append(1001, at, map[string][]byte{"later": []byte("1")}), j.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if all := valuesOf(ReadBytes(file)); len(all) != len(values)+1 {
		t.Errorf("%d values are in the whole file", len(all))
	}
	frames := begins(file)
	recalled := 0
	for n := range len(frames) - 2 { // but for the change behind the snapshot
		img := ReadBytes(spoil(file, frames[n], frames[n+1], 0, 1))
		all := valuesOf(img)
		for key, want := range map[string]string{"key-001": "of history 0", "key-012": "of history 3"} {
			if bytes.Equal(all[key], values[key]) {
				continue
			}
			recalled++
			if there, upTo := img.Shows(key); string(all[key]) != want || !there || upTo > 13 || img.Newest(key) {
				t.Errorf("without frame %d: %s is %.20q, there: %t, up to %d, the newest: %t", n, key, all[key], there, upTo, img.Newest(key))
			}
		}
		if _, there := all["gone"]; there || !errors.Is(img.Err, ErrDamaged) || all["later"] == nil {
			t.Errorf("without frame %d: what was deleted is there: %t, %v", n, there, img.Err)
		}
	}
	if recalled != 2 {
		t.Errorf("%d values were recalled, want 2", recalled)
	}
}
