package journal

import (
	"bytes"
	"io"
)

// reader finds frames in the two lanes of a file.
type reader struct{ window }

func newReader(file io.ReaderAt, size int64) *reader {
	return &reader{window{file: file, size: size}}
}

// copied is a frame that was found, with its bytes, which are good until the next one is
// looked for.
type copied struct {
	Frame
	bytes []byte
	// lane that has it, and how many lanes do.
	lane, copies int
}

// frame returns the frame at a place of the log: of two that differ, the one that was
// written after last. What can't have been is of an earlier time, or of another place.
func (r *reader) frame(at int64, last Position) (best copied, ok bool) {
	for lane := range lanes {
		if ok && bytes.Equal(r.bytes(lane, at, len(best.bytes)), best.bytes) {
			best.copies++
			continue
		}
		f, b, whole := r.in(lane, at)
		if whole && f.after(last) && (!ok || f.prev == last.sum && best.prev != last.sum) {
			best, ok = copied{f, b, lane, 1}, true
		}
	}
	return best, ok
}

// again returns a frame that was found before, from either lane.
func (r *reader) again(there spot) (f Frame, ok bool) {
	for lane := range lanes {
		if f, _, ok = r.in(lane, there.at); ok && f.sum == there.sum {
			return f, true
		}
	}
	return Frame{}, false
}

// after says whether the frame may have been written after last, though perhaps not as
// the next one.
func (f Frame) after(last Position) bool {
	return f.prev == last.sum || f.sequence > last.Sequence || f.sequence == last.Sequence && f.kind == frameMore
}

func (r *reader) in(lane int, at int64) (f Frame, b []byte, whole bool) {
	if f, whole = decodeHead(r.bytes(lane, at, frameHead)); whole {
		b = r.bytes(lane, at, f.size)
		whole = b != nil && f.check(b)
	}
	return f, b, whole
}

// rest is what the stripe at a place of the log has from there on, in one of the lanes.
func (r *reader) rest(lane int, at int64) []byte {
	b := r.stripe(at/stripe*lanes + int64(lane))
	return b[min(at%stripe, int64(len(b))):]
}

// bytes returns n bytes of a lane; nil if the file does not have them.
func (r *reader) bytes(lane int, at int64, n int) []byte {
	if physical(lane, at+int64(n)-1) >= r.size {
		return nil
	}
	if at%stripe+int64(n) <= stripe {
		return r.rest(lane, at)[:n:n]
	}
	b := make([]byte, 0, n)
	for len(b) < n {
		rest := r.rest(lane, at)
		m := min(n-len(b), len(rest))
		b = append(b, rest[:m]...)
		at += int64(m)
	}
	return b
}

// resync returns where in the log the next whole frame is that was written after last;
// below zero: there is none.
func (r *reader) resync(at int64, last Position) int64 {
	for at = r.mark(at); at >= 0; at = r.mark(at + 1) {
		if _, ok := r.frame(at, last); ok {
			return at
		}
	}
	return -1
}

// mark returns the next place of the log at which a frame may begin in one of the lanes;
// below zero: there is none.
func (r *reader) mark(at int64) int64 {
	for physical(0, at) < r.size {
		left := stripe - at%stripe
		next := left
		for lane := range lanes {
			rest := r.rest(lane, at)
			if n := bytes.IndexByte(rest[:min(next, int64(len(rest)))], frameMark[0]); n >= 0 {
				next = int64(n)
			}
		}
		if at += next; next < left {
			return at
		}
	}
	return -1
}
