package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const manyKeys = 14

// worn is what a file holds: a log over more than one pair of stripes, in which most of
// what was written is over.
func worn(t testing.TB) (file []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	j, err := Create(path, Fresh{Sequence: 1, At: at, Format: Version})
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(manyKeys * 5) {
		value := fmt.Appendf(nil, `{"version":%d,"filling":"%s"}`, n/manyKeys+1, bytes.Repeat([]byte{byte('a' + n%26)}, 1100))
		if err := j.Append(n+2, at, map[string][]byte{fmt.Sprint("key-", n%manyKeys): value}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if img := ReadBytes(file); !img.EndsWell(j.Last()) || img.end < stripe+stripe/8 {
		t.Fatalf("%d bytes of log: %v", img.end, img.Err)
	}
	return file
}

func valuesOf(img *Image) map[string][]byte {
	all := map[string][]byte{}
	for key, value := range img.All() {
		all[key] = bytes.Clone(value)
	}
	return all
}

// A damaged byte anywhere changes nothing of what is read.
func TestEveryByteCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	t.Parallel()
	file := worn(t)
	want := valuesOf(ReadBytes(file))
	for at := range file {
		if at%97 != 0 && at%4096 > 40 { // a sample of what is no beginning
			continue
		}
		file[at] ^= 1 << (at % 8)
		img := ReadBytes(file)
		file[at] ^= 1 << (at % 8)
		got := valuesOf(img)
		if img.Err != nil || !maps.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("byte %d: %d of %d values are there (%v)", at, len(got), len(want), img.Err)
		}
	}
}

// A byte that is damaged in both of its copies is seen, and nothing is taken from the
// file that nobody wrote.
func TestEveryByteOfBothCopiesCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine does it all, for a long time: not with -short")
	}
	t.Parallel()
	file := worn(t)
	want := valuesOf(ReadBytes(file))
	frames := begins(file)
	for at := range frames[len(frames)-1] {
		if at%29 != 0 && !slices.ContainsFunc(frames, func(begin int64) bool { return at >= begin && at < begin+40 }) {
			continue
		}
		flip := func() {
			for lane := range 2 {
				file[physical(lane, at)] ^= 1 << (at % 8)
			}
		}
		flip()
		img := ReadBytes(file)
		flip()
		if !errors.Is(img.Err, ErrDamaged) {
			t.Fatalf("byte %d: nobody saw it (%v)", at, img.Err)
		}
		for key, value := range img.All() {
			if !bytes.Equal(value, want[key]) && want[key] != nil && !older(value, want[key]) {
				t.Fatalf("byte %d: %s is taken from a damaged file, but nobody wrote that", at, key)
			}
		}
	}
}

// older says whether value is one that was stored before: the frame that changed it is
// gone.
func older(value, newest []byte) bool {
	v := func(b []byte) (n int) {
		_, rest, _ := bytes.Cut(b, []byte(`"version":`))
		_, _ = fmt.Sscan(string(rest), &n)
		return n
	}
	return v(value) > 0 && v(value) <= v(newest)
}

// FuzzReadImage: no bytes make the reader panic or run for ever, and a patch that is
// smaller than a block changes nothing.
func FuzzReadImage(f *testing.F) {
	file := worn(f)
	f.Add([]byte{}, uint32(0))
	for at := range uint32(40) {
		f.Add(file[at*512%uint32(len(file)):][:64], at*512+10)
	}
	f.Fuzz(func(t *testing.T, patch []byte, at uint32) {
		b := slices.Clone(file)
		copy(b[int(at)%len(b):], patch)
		if img := ReadBytes(b); len(patch) < 4096 && (img.Err != nil || len(img.values) != manyKeys) {
			t.Errorf("%d values are believed (%v)", len(img.values), img.Err)
		}
	})
}

// begins are where in the log each frame begins, and its end.
func begins(file []byte) (at []int64) {
	img := ReadBytes(file)
	for _, there := range img.spots {
		at = append(at, there.at)
	}
	return append(at, img.end)
}
