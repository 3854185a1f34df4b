package journal

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// No bit of a frame can change unseen, and no frame is taken for whole that is cut off.
func TestFrame(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	f := Frame{prev: 7, sequence: 42, at: at, body: encodeChange(map[string][]byte{"a": []byte("1"), "b": nil})}
	whole := f.encode()
	read := func(b []byte) (got Frame, ok bool) {
		if got, ok = decodeHead(b); !ok || got.size > len(b) {
			return Frame{}, false
		}
		return got, got.check(b[:got.size])
	}
	got, ok := read(whole)
	var entries []entry
	for body := got.body; len(body) > 0; {
		e, rest, row := cutEntry(body)
		if !row {
			t.Fatal("its body is no row of entries")
		}
		entries, body = append(entries, e), rest
	}
	if !ok || got.prev != 7 || got.sequence != 42 || got.sum != f.sum || !got.at.Equal(at.Truncate(time.Millisecond)) ||
		len(entries) != 2 || string(entries[0].key) != "a" || string(entries[0].value) != "1" || string(entries[1].key) != "b" || entries[1].value != nil {
		t.Fatalf("read back: %+v, %+v", got, entries)
	}
	for n := range whole {
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1 << bit
			if _, ok := read(flipped); ok {
				t.Fatalf("bit %d of byte %d was flipped, and nobody saw it", bit, n)
			}
		}
		if _, ok := read(whole[:n]); ok {
			t.Fatalf("the first %d of %d bytes are a frame", n, len(whole))
		}
	}
}

// The next frame is found wherever it stands: in one copy or in both, behind what only
// begins as a frame does, at an end of a stripe.
func TestResync(t *testing.T) {
	file := worn(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		b := bytes.Clone(file)
		for range 40 {
			at := headers + random.IntN(len(b)-headers)
			switch piece := b[at:min(at+random.IntN(6000), len(b))]; random.IntN(3) {
			case 0:
				clear(piece)
			case 1:
				copy(piece, frameMark+"\x03")
			default:
				copy(piece, b[headers+random.IntN(len(b)-headers):])
			}
		}
		r := newReader(bytes.NewReader(b), int64(len(b)))
		last := Position{Sequence: random.Uint64N(40)}
		next := int64(-1)
		for at := logRoom(b); at >= 0; at-- {
			if _, ok := r.frame(at, last); ok {
				next = at
			}
			if at%1021 == 0 || next == at {
				if got := r.resync(at, last); got != next {
					t.Fatalf("from %d the next frame is at %d, not %d", at, next, got)
				}
			}
		}
	}
}

// logRoom is how long a log is that fills the file.
func logRoom(file []byte) (at int64) {
	for physical(0, at) < int64(len(file)) {
		at += stripe
	}
	return at
}
