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
)

// spoil damages what stands in the log from one place to another, in some of the copies.
func spoil(file []byte, from, to int64, which ...int) []byte {
	file = bytes.Clone(file)
	for _, lane := range which {
		for at := from; at < to; at++ {
			file[physical(lane, at)] ^= 0xA5
		}
	}
	return file
}

// numbered are so many values of a kibibyte.
func numbered(count int) map[string][]byte {
	values := map[string][]byte{}
	for n := range count {
		values[fmt.Sprintf("key-%03d", n)] = bytes.Repeat([]byte{byte(n)}, 1024)
	}
	return values
}

// What is missing of a file that was just made is seen wherever it stood: also at its end,
// behind which nothing is. So it is in a copy of it. One copy of anything is enough.
func TestEveryFrameOfAFreshFile(t *testing.T) {
	for _, count := range []int{1, 2, 63, 129, 400} {
		values, path := numbered(count), filepath.Join(t.TempDir(), "journal")
		j, err := Create(path, Fresh{Values: values, Sequence: 1000, At: time.Now(), Format: Version})
		if err != nil {
			t.Fatal(err)
		}
		j.Drop()
		img, err := Check(path)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		if err := Copy(img, path+".copy", Version); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{path, path + ".copy"} {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			frames := begins(file)
			for n, from := range frames[:len(frames)-1] {
				what := fmt.Sprintf("%s of %d values, frame %d of %d", filepath.Base(path), count, n+1, len(frames)-1)
				for lane := range lanes {
					if img := ReadBytes(spoil(file, from, frames[n+1], lane)); !img.Good() || !maps.EqualFunc(valuesOf(img), values, bytes.Equal) {
						t.Errorf("%s: one copy is damaged: %d values (%v)", what, len(img.values), img.Err)
					}
				}
				img := ReadBytes(spoil(file, from, frames[n+1], 0, 1))
				if img.Good() || !errors.Is(img.Err, ErrDamaged) {
					t.Errorf("%s: nobody saw that it is gone, and %d values are there", what, len(img.values))
				}
				for key := range values {
					if _, left := img.values[key]; left {
						continue
					}
					if there, upTo := img.Shows(key); there || upTo != 0 {
						t.Errorf("%s: %s is gone, and that is said to be known up to %d", what, key, upTo)
						break
					}
				}
			}
		}
	}
}

// All of a snapshot is of the moment of its last frame, as far as that is there.
func TestShowsOfALongSnapshot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := Create(path, Fresh{Values: numbered(10), Sequence: 10, Format: Version}) // in three frames
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		err = errors.Join(err, j.Append(11+n, time.Now(), map[string][]byte{fmt.Sprint("new-", n): []byte("1")}))
	}
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frames := begins(file)
	for lost, want := range map[int]uint64{0: 0, 1: 9, 2: 9, 3: 10, 4: 10, 5: 10} {
		img := ReadBytes(spoil(file, frames[lost], frames[lost+1], 0, 1))
		if there, upTo := img.Shows("key-000"); there != (lost > 0) || upTo != want {
			t.Errorf("without frame %d the first value is there: %t, known up to %d, want %d", lost+1, there, upTo, want)
		}
	}
}
