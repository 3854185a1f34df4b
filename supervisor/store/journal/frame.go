package journal

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"time"
)

// Frame is one transaction in the journal:
//
//	"TKJ", major version (1 byte)
//	kind (1), reserved (3)
//	length of the body (4)
//	checksum of the frame before (4)
//	sequence (8)
//	time in Unix milliseconds (8)
//	body
//	checksum of all of the above (4)
//
// and its body is a row of entries:
//
//	what is done with the key (1), how the value is sealed (1)
//	length of the key (2), length of the value (4), key, value
//
// Numbers are little-endian and checksums CRC-32C.
type Frame struct {
	kind     byte
	prev     uint32
	sequence uint64
	at       time.Time
	body     []byte
	// sum is the frame's own checksum, and size its length as it is written.
	sum  uint32
	size int
	// newer: it is laid out, or means something, as no program of this version writes it.
	newer bool
}

// Kinds of frames.
const (
	frameChange = iota // what one transaction changed
	frameReset         // the first of a snapshot: what is before it is history
	frameMore          // the snapshot goes on
	frameMoved         // the last one: the body says where the store is now
)

const (
	frameMark = "TKJ"
	frameHead = 32
	frameTail = 4
	entryHead = 8
	// longestBody is far above what a full batch has.
	longestBody = 1 << 30
)

const (
	entryPut    = 0
	entryDelete = 1
	// notSealed is the only way in which this program writes a value.
	notSealed = 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the frame as it is written, and notes its checksum.
func (f *Frame) encode() []byte {
	b := make([]byte, 0, frameHead+len(f.body)+frameTail)
	b = append(b, frameMark...)
	b = append(b, formatMajor, f.kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.body)))
	b = binary.LittleEndian.AppendUint32(b, f.prev)
	b = binary.LittleEndian.AppendUint64(b, f.sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.at.UnixMilli()))
	b = append(b, f.body...)
	f.sum, f.size = crc32.Checksum(b, castagnoli), len(b)+frameTail
	return binary.LittleEndian.AppendUint32(b, f.sum)
}

// decodeHead reads a frame's head; ok is false if none begins there.
func decodeHead(b []byte) (f Frame, ok bool) {
	if len(b) < frameHead || string(b[:len(frameMark)]) != frameMark || b[3] < formatMajor {
		return Frame{}, false
	}
	length := binary.LittleEndian.Uint32(b[8:])
	return Frame{
		newer: b[3] > formatMajor || b[4] > frameMoved || b[5]|b[6]|b[7] != 0, kind: b[4], prev: binary.LittleEndian.Uint32(b[12:]), sequence: binary.LittleEndian.Uint64(b[16:]),
		at: time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:]))), size: frameHead + int(length) + frameTail,
	}, length <= longestBody
}

// check fills in the rest of a frame from its bytes, and says whether they are as
// they were written.
func (f *Frame) check(b []byte) bool {
	end := len(b) - frameTail
	f.body, f.sum = b[frameHead:end:end], binary.LittleEndian.Uint32(b[end:])
	return crc32.Checksum(b[:end], castagnoli) == f.sum
}

// encodeChange lays out a change as a body, in an order that is always the same.
func encodeChange(c map[string][]byte) (b []byte) {
	for _, key := range slices.Sorted(maps.Keys(c)) {
		b = appendEntry(b, key, c[key])
	}
	return b
}

func appendEntry(b []byte, key string, value []byte) []byte {
	what := byte(entryPut)
	if value == nil {
		what = entryDelete
	}
	b = append(b, what, notSealed)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	return append(append(b, key...), value...)
}

// entry is what a frame does to one key.
type entry struct {
	key    []byte
	value  []byte // nil: the key is deleted
	sealed byte
}

// newerEntry says whether a body that begins with no entry begins with one of a newer
// program: what is done there is nothing that this one knows.
func newerEntry(b []byte) bool { return b[0] > entryDelete }

// cutEntry reads the first entry of a body; ok is false if none stands there.
func cutEntry(b []byte) (e entry, rest []byte, ok bool) {
	if len(b) < entryHead || newerEntry(b) {
		return entry{}, nil, false
	}
	key := entryHead + int(binary.LittleEndian.Uint16(b[2:]))
	end := key + int(binary.LittleEndian.Uint32(b[4:]))
	if end > len(b) {
		return entry{}, nil, false
	}
	e = entry{key: b[entryHead:key], sealed: b[1]}
	if b[0] == entryPut {
		e.value = b[key:end:end]
	}
	return e, b[end:], true
}
