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

// badDisk is a file of which a disk does not give some blocks, or gives them once.
type badDisk struct {
	*bytes.Reader
	bad   map[int64]bool
	asked int
	once  int // how often it is asked before it gives none of those; 0: from the first time on
}

func (d *badDisk) ReadAt(b []byte, from int64) (int, error) {
	d.asked++
	for at := from / block; at*block < from+int64(len(b)) && d.asked > d.once; at++ {
		if d.bad[at] {
			return 0, errors.New("input/output error")
		}
	}
	return d.Reader.ReadAt(b, from)
}

func onBadDisk(file []byte, blocks ...int64) *badDisk {
	d := &badDisk{Reader: bytes.NewReader(file), bad: map[int64]bool{}}
	for _, at := range blocks {
		d.bad[at] = true
	}
	return d
}

// What a disk does not give stands in the file a second time, wherever it is.
func TestBlocksThatTheDiskDoesNotGive(t *testing.T) {
	file := worn(t)
	want := valuesOf(ReadBytes(file))
	for at := range int64(len(file) / block) {
		r := newReader(onBadDisk(file, at), int64(len(file)))
		img := read(r, map[string]placed{})
		if img.Err != nil || r.err == nil || !maps.EqualFunc(valuesOf(img), want, bytes.Equal) {
			t.Fatalf("block %d: %v, the disk: %v", at, img.Err, r.err)
		}
	}
}

// What the disk has given once is taken from the other copy if it does not give it again;
// if it gives neither, that is damage, and nobody takes an older value for the newest.
func TestTheSecondReading(t *testing.T) {
	file := worn(t)
	frames := begins(file)
	at := frames[len(frames)-3]
	for name, tt := range map[string]struct {
		blocks []int64
		lost   bool
	}{
		"one copy":    {[]int64{physical(0, at) / block}, false},
		"both copies": {[]int64{physical(0, at) / block, physical(1, at) / block}, true},
	} {
		d := onBadDisk(file, tt.blocks...)
		d.once = 1 << 30
		r := newReader(d, int64(len(file)))
		img := read(r, map[string]placed{})
		stands := len(img.values)
		d.once, r.panes = 0, [panes]pane{}
		all := valuesOf(img)
		if errors.Is(img.Err, ErrDamaged) != tt.lost || tt.lost == (len(all) == stands) || len(all) != len(img.values) {
			t.Errorf("%s: %d of %d values, %d are said to be there, %v", name, len(all), stands, len(img.values), img.Err)
		}
	}
}

// A copy is of what was read: if the disk no longer gives that, there is none.
func TestCopyOfWhatTheDiskNoLongerGives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	l, err := Create(path, Fresh{Values: map[string][]byte{"k": bytes.Repeat([]byte("v"), 4*stripe)}, Sequence: 7, Format: Version})
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := path + ".copy"
	for at := headers / block; at < len(file)/block; at++ {
		d := onBadDisk(file, int64(at))
		d.once = 1 << 30
		img := read(newReader(d, int64(len(file))), nil)
		if !img.Good() {
			t.Fatal("the file is not good")
		}
		d.once, img.reader.panes = 0, [panes]pane{}
		if err := Copy(img, copied, Version); err == nil {
			t.Errorf("block %d: it was copied", at)
		}
		if left, err := filepath.Glob(copied + "*"); err != nil || len(left) > 0 {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	}
	if err := Copy(read(newReader(bytes.NewReader(file), int64(len(file))), nil), copied, Version); err != nil {
		t.Error(err)
	}
}

// A frame may be longer than what is seen of the file at a time, and is whole if one copy
// of it is.
func TestFrameLongerThanTheWindow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := Create(path, Fresh{Sequence: 1, Format: Version})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"long": bytes.Repeat([]byte("TKJ and what else stands here"), 2*panes*stripe/29), "short": []byte("1")}
	if err := errors.Join(j.Append(2, time.Now(), want), j.Append(3, time.Now(), map[string][]byte{"last": []byte("2")}), j.Close()); err != nil {
		t.Fatal(err)
	}
	want["last"] = []byte("2")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for lane := range lanes {
		for _, at := range []int64{40, stripe + 9, 5 * stripe} {
			b := bytes.Clone(file)
			b[physical(lane, begins(file)[1]+at)] ^= 1
			img := ReadBytes(b)
			if img.Err != nil || !img.Worn || !maps.EqualFunc(valuesOf(img), want, bytes.Equal) {
				t.Errorf("byte %d of lane %d: worn: %t, %v", at, lane, img.Worn, img.Err)
			}
		}
	}
}

// What is put right is written into the copy that is damaged, and nowhere else: when the
// power is lost meanwhile, the other one is as it was.
func TestOnlyTheDamagedCopyIsWritten(t *testing.T) {
	file := worn(t)
	at := begins(file)[10]
	for lane := range lanes {
		path := filepath.Join(t.TempDir(), "journal")
		b := bytes.Clone(file)
		b[physical(lane, at)+50] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		img, err := Read(path)
		if err != nil || !img.Good() || !img.Worn {
			t.Fatal(err, img.Err)
		}
		defer img.Close()
		b[physical(1-lane, at)+50] ^= 2 // whoever writes it again is seen
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path, img)
		if err != nil {
			t.Fatal(err)
		}
		j.Drop()
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[physical(lane, at)+50] ^= 1
		if !bytes.Equal(after, b) {
			t.Error(fmt.Sprint("lane ", lane, ": more was written than what was damaged"))
		}
	}
}
