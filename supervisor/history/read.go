package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Past is what the ring holds.
type Past struct {
	Lines []Line
	// From is where it begins; zero: there is nothing. Gone: there was something before it.
	From time.Time
	Gone bool
	// Unread are why a part of it can't be read, and what to do. Cut: that is the newest part.
	Unread []error
	Cut    bool
}

// Has says whether it tells of an account, under this name at some time. What a client has
// asked for is no proof of one.
func (p Past) Has(account string) bool {
	return slices.ContainsFunc(p.Lines, func(l Line) bool {
		return l.Type != event.Audit && (l.Account == account || l.From == account) || slices.Contains(l.Accounts, account)
	})
}

// Read reads the ring of a state directory, whether a supervisor runs or not. Of what was told
// of single accounts it has what is wanted, nil: all; and how they were called, when a history
// begins and ends, and when a run was heard of last. None at all is no error: there has been no
// supervisor yet. It fails if nothing of it can be read.
func Read(stateDir string, wanted func(Line) bool) (Past, error) {
	var lines []Line
	past, err := Walk(stateDir, wanted, func(l Line) error { lines = append(lines, l); return nil })
	past.Lines = lines
	return past, err
}

// Walk is Read for who needs one line after the other, and not all of them in memory: each
// gets them, and the Past has none. An error of each ends it, and is returned.
func Walk(stateDir string, wanted func(Line) bool, each func(Line) error) (Past, error) {
	r := ring{stateDir, most / 2}
	const tries = 3
	var before, after part
	for range tries {
		after.close()
		before.close()
		after = r.part(fileName)
		before = r.part(beforeName)
		if after.info == nil || before.info == nil || !os.SameFile(after.info, before.info) { // otherwise it has turned meanwhile
			break
		}
	}
	defer after.close()
	defer before.close()
	if failed := errors.Join(after.err, before.err); failed != nil && after.info == nil && before.info == nil {
		return Past{}, failed
	}
	to := reader{wanted: wanted, each: each}
	if after.info == nil || before.info == nil || !os.SameFile(after.info, before.info) {
		for l := range before.lines {
			if to.take(l); to.failed != nil {
				return to.Past, to.failed
			}
		}
	}
	repeated := to.begun
	for l := range after.lines {
		if l.Again && repeated {
			continue
		}
		if to.take(l); to.failed != nil {
			return to.Past, to.failed
		}
	}
	to.heard()
	to.Cut = after.err != nil
	for _, err := range []error{before.err, after.err} {
		if err != nil {
			to.Unread = append(to.Unread, err)
		}
	}
	return to.Past, to.failed
}

// reader takes the lines in their order.
type reader struct {
	Past
	wanted func(Line) bool
	each   func(Line) error
	// failed is what each has returned. begun: it has got a line.
	failed error
	begun  bool
	// ended: no supervisor runs then, as far as that was written.
	ended bool
	// newest of those that were left out since the last that was not; nil: none was.
	newest *Line
}

func (r *reader) take(l Line) {
	first := !r.begun
	if first {
		r.Gone = l.Again
	}
	if r.From.IsZero() && !l.Again {
		r.From, first = l.Time, true
	}
	if r.wanted != nil && !first && !r.ended && l.Account != "" && l.From == "" && l.Type != event.Forgotten && !r.wanted(l) {
		r.newest = &l
		return
	}
	switch l.Type {
	case RunBegan:
		r.heard()
		r.ended = false
	case RunEnded:
		r.ended = true
	}
	r.newest = nil
	r.give(l)
}

func (r *reader) give(l Line) {
	if r.begun = true; r.failed == nil {
		r.failed = r.each(l)
	}
}

// heard adds the line by which it is known until when the run was heard of.
func (r *reader) heard() {
	if r.newest != nil {
		r.give(*r.newest)
		r.newest = nil
	}
}

// part is one of the files as it stood when it was opened; info is nil if it is not there, or
// no file.
type part struct {
	file *os.File
	info fs.FileInfo
	text *io.SectionReader
	err  error
}

// part opens a file. Of one that is larger than any that we make, it is the end.
func (r ring) part(name string) part {
	f, info, err := openFile(r.path(name), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return part{}
	} else if err != nil {
		return part{err: err}
	}
	p := part{file: f, info: info, text: io.NewSectionReader(f, 0, info.Size())}
	p.text = p.end(most / 2)
	return p
}

// end are so many bytes before the end, or all.
func (p part) end(size int64) *io.SectionReader {
	from := max(0, p.text.Size()-size)
	return io.NewSectionReader(p.text, from, p.text.Size()-from)
}

func (p part) close() {
	if p.file != nil {
		_ = p.file.Close()
	}
}

// lines are what was written, one at a time: nobody has all of a file in memory. What is torn
// or damaged is left out.
func (p *part) lines(yield func(Line) bool) {
	if p.text == nil {
		return
	}
	text := bufio.NewReader(io.NewSectionReader(p.text, 0, p.text.Size()))
	for {
		line, err := text.ReadBytes('\n')
		var l Line
		if json.Unmarshal(line, &l) == nil && l.Type != "" && !l.Time.IsZero() && !yield(l) {
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.err = err
			}
			return
		}
	}
}
