package journal

import "bytes"

// reader finds frames in the two lanes of a file.
type reader struct{ file []byte }

// copied is a frame that was found, with its bytes.
type copied struct {
	Frame
	bytes []byte
	// copies of it that are whole.
	copies int
}

// frame returns the frame at a place of the log: of two that differ, the one that was
// written after last. What can't have been is of an earlier time, or of another place.
func (r reader) frame(at int64, last Position) (best copied, ok bool) {
	for lane := range lanes {
		f, b, whole := r.in(lane, at)
		switch {
		case !whole || !f.after(last):
		case ok && f.sum == best.sum:
			best.copies++
		case !ok || f.prev == last.sum && best.prev != last.sum:
			best, ok = copied{f, b, 1}, true
		}
	}
	return best, ok
}

// after says whether the frame may have been written after last, though perhaps not as
// the next one.
func (f Frame) after(last Position) bool {
	return f.prev == last.sum || f.sequence > last.Sequence || f.sequence == last.Sequence && f.kind == frameMore
}

func (r reader) in(lane int, at int64) (f Frame, b []byte, whole bool) {
	if first := physical(lane, at); first >= int64(len(r.file)) || r.file[first] != frameMark[0] {
		return f, nil, false
	}
	if f, whole = decodeHead(r.bytes(lane, at, frameHead)); !whole {
		return f, nil, false
	}
	if b = r.bytes(lane, at, f.size); b == nil {
		return f, nil, false
	}
	return f, b, f.check(b)
}

// bytes returns n bytes of a lane; nil if the file does not have them.
func (r reader) bytes(lane int, at int64, n int) []byte {
	if physical(lane, at+int64(n)-1) >= int64(len(r.file)) {
		return nil
	}
	if at%stripe+int64(n) <= stripe {
		from := physical(lane, at)
		return r.file[from:][:n:n]
	}
	b := make([]byte, 0, n)
	for len(b) < n {
		m := min(int64(n-len(b)), stripe-at%stripe)
		b = append(b, r.file[physical(lane, at):][:m]...)
		at += m
	}
	return b
}

// resync returns where in the log the next whole frame is that was written after last;
// below zero: there is none.
func (r reader) resync(at int64, last Position) int64 {
	for at = r.mark(at); at >= 0; at = r.mark(at + 1) {
		if _, ok := r.frame(at, last); ok {
			return at
		}
	}
	return -1
}

// mark returns the next place of the log at which a frame may begin in one of the lanes;
// below zero: there is none.
func (r reader) mark(at int64) int64 {
	for physical(0, at) < int64(len(r.file)) {
		left := stripe - at%stripe
		next := left
		for lane := range lanes {
			rest := r.file[min(physical(lane, at), int64(len(r.file))):]
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
