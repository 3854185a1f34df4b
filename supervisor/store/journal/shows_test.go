package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file knows of each key, and of each that is gone, up to its last transaction, and
// before a part that is missing no further than to the one that wrote it.
func TestShows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	v := []byte("1")
	j, err := Create(path, Fresh{Values: map[string][]byte{"kept": v, "over": v}, Sequence: 10, Format: Version})
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range []map[string][]byte{{"new": v}, {"over": nil}, {"x": v}, {"y": v}} {
		err = errors.Join(err, j.Append(uint64(11+n), time.Now(), c))
	}
	if err = errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	without := func(transaction int) func(b []byte) {
		return func(b []byte) {
			for lane := range lanes {
				b[physical(lane, begins(whole)[transaction-10])+frameHead] ^= 1
			}
		}
	}
	type shown struct {
		there bool
		upTo  uint64
	}
	for name, tt := range map[string]struct {
		harm    func(b []byte)
		refused string
		want    map[string]shown
	}{
		"whole": {want: map[string]shown{"kept": {true, 14}, "new": {true, 14}, "over": {false, 14}, "never": {false, 14}}},
		"something is missing": {harm: without(13), want: map[string]shown{
			"kept": {true, 10}, "new": {true, 11}, "over": {false, 12}, "y": {true, 14}, "x": {false, 10}, "never": {false, 10},
		}},
		"a deletion is missing":   {harm: without(12), want: map[string]shown{"over": {true, 10}, "x": {true, 14}}},
		"the snapshot is missing": {harm: without(10), want: map[string]shown{"kept": {false, 0}, "over": {false, 14}, "new": {true, 14}}},
		"what may be the rest of the snapshot is missing": {harm: without(11), want: map[string]shown{
			"kept": {true, 10}, "new": {false, 0}, "over": {false, 14}, "never": {false, 0},
		}},
		"the heads are missing": {harm: func(b []byte) { clear(b[:headers]) }, want: map[string]shown{
			"kept": {true, 10}, "over": {false, 12}, "never": {false, 10}, "y": {true, 14},
		}},
		"a value means nothing": {refused: "new", want: map[string]shown{"new": {true, 14}, "never": {false, 14}}},
	} {
		b := bytes.Clone(whole)
		if tt.harm != nil {
			tt.harm(b)
		}
		img := ReadBytes(b)
		if tt.refused != "" {
			img.Refuse([]string{tt.refused}, errors.New("it means nothing"))
		}
		for key, want := range tt.want {
			if there, upTo := img.Shows(key); there != want.there || upTo != want.upTo {
				t.Errorf("%s: %s is there: %t, known up to %d; want %+v", name, key, there, upTo, want)
			}
		}
	}
}
