package journal

import (
	"bytes"
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
	entries, row := got.entries()
	if !ok || !row || got.prev != 7 || got.sequence != 42 || got.sum != f.sum || !got.at.Equal(at.Truncate(time.Millisecond)) ||
		len(entries) != 2 || entries[0].key != "a" || string(entries[0].value) != "1" || entries[1].key != "b" || entries[1].value != nil {
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
