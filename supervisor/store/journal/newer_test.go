package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

// What a newer program has written, and this one does not know, is refused: neither is it
// taken for a change, nor for damage that a backup from before would put right.
func TestWhatANewerProgramWroteIsRefused(t *testing.T) {
	file := worn(t)
	img := ReadBytes(file)
	for name, tt := range map[string]struct {
		at    int // in the frame
		is    byte
		newer bool
	}{
		"a change":                         {4, frameChange, false},
		"a frame of another major version": {3, formatMajor + 1, true},
		"a frame of another kind":          {4, frameMoved + 1, true},
		"the first of the bytes of 0":      {5, 1, true},
		"the last of the bytes of 0":       {7, 0x80, true},
		"an entry that does something new": {frameHead, entryDelete + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := Frame{prev: img.sum, sequence: img.Sequence + 1, body: encodeChange(map[string][]byte{"key-1": []byte("newer")})}
			b := f.encode()
			b[tt.at] = tt.is
			end := len(b) - frameTail
			binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], castagnoli))
			file := bytes.Clone(file)
			for lane := range lanes {
				for n, c := range b {
					file[physical(lane, img.end+int64(n))] = c
				}
			}
			got := ReadBytes(file)
			if errors.Is(got.Err, ErrNewerFormat) != tt.newer || errors.Is(got.Err, ErrDamaged) || got.Good() == tt.newer {
				t.Errorf("good: %t, %v", got.Good(), got.Err)
			}
		})
	}
}
