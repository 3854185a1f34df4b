package journal

import "io"

// window shows a file through a few of its stripes at a time, so that a long one is read
// without being in memory. What it shows is good until it is asked for others.
type window struct {
	file  io.ReaderAt
	size  int64
	panes [panes]pane
	// err is the disk's word on parts that it does not give; zeros stand for those.
	err error
}

// panes is a multiple of lanes: what is looked for in one lane leaves what was found in
// the other where it is.
const panes = 4 * lanes

// pane shows the n-th stripe; without bytes none.
type pane struct {
	n int64
	b []byte
}

// stripe is the n-th of the file, those of both lanes counted, as far as the file has it.
func (w *window) stripe(n int64) []byte {
	p := &w.panes[n%panes]
	if len(p.b) == 0 || p.n != n {
		from := headers + n*stripe
		if p.b == nil {
			p.b = make([]byte, 0, stripe)
		}
		p.n, p.b = n, p.b[:min(max(0, w.size-from), stripe)]
		w.read(p.b, from)
	}
	return p.b
}

// begin is what stands before the stripes.
func (w *window) begin() []byte {
	b := make([]byte, min(headers, w.size))
	w.read(b, 0)
	return b
}

// read fills b from a place of the file, block by block where the disk does not give all
// of it.
func (w *window) read(b []byte, from int64) {
	if len(b) == 0 {
		return
	}
	if _, err := w.file.ReadAt(b, from); err == nil {
		return
	}
	for at := 0; at < len(b); at += block {
		part := b[at:min(at+block, len(b))]
		if _, err := w.file.ReadAt(part, from+int64(at)); err != nil {
			clear(part)
			w.err = err
		}
	}
}
