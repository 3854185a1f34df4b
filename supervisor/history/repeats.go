package history

import (
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

const (
	// singly are how many of the same failures in a row are written one by one.
	singly = 10
	// together is for how long further ones are joined to one line.
	together = 10 * time.Minute
)

// repeats joins failures that come again and again for the same reason: otherwise an outage
// of some hours would leave nothing in the ring of what was before it.
type repeats struct {
	of map[repeatedly]*repeated
}

// repeatedly is whose failures they are.
type repeatedly struct {
	is                      event.Type
	account, provider, sink string
}

// repeated are those of one reason.
type repeated struct {
	why     string
	inRow   int
	written time.Time
	// last of those that are not written yet, the number of which it has; zero: all are.
	last Line
}

// joins says whether failures of a type come again and again.
func joins(t event.Type) bool {
	switch t {
	case event.RefreshFailed, event.DeliveryFailed, event.DeliveryPutOff, event.SharedFileHeld, event.DiskTrouble, event.Untrusted, event.SinkUnseen:
		return true
	}
	return false
}

// take returns what is to be written now that a line has come.
func (r *repeats) take(l Line) []Line {
	if !joins(l.Type) {
		return append(r.end(l.Account), l)
	}
	key := repeatedly{l.Type, l.Account, l.Provider, l.Sink}
	why := l.Kind + withoutDigits(l.Message)
	is := r.of[key]
	if is == nil || is.why != why {
		out := []Line{l}
		if is != nil && is.last.Times > 0 {
			out = []Line{is.last, l}
		}
		if r.of == nil {
			r.of = map[repeatedly]*repeated{}
		}
		r.of[key] = &repeated{why: why, inRow: 1, written: l.Time}
		return out
	}
	if is.inRow++; is.inRow <= singly {
		is.written = l.Time
		return []Line{l}
	}
	if l.Times, l.First = is.last.Times+1, is.last.First; l.First.IsZero() {
		l.First = l.Time
	}
	is.last = l
	if l.Time.Sub(is.written) < together {
		return nil
	}
	is.last, is.written = Line{}, l.Time
	return []Line{l}
}

// end ends the rows of an account, "" of what is none's, and returns what of them is not
// written yet.
func (r *repeats) end(account string) (lines []Line) {
	for key, is := range r.of {
		if key.account == account {
			if is.last.Times > 0 {
				lines = append(lines, is.last)
			}
			delete(r.of, key)
		}
	}
	return lines
}

// all is the rest, when the run ends.
func (r *repeats) all() (lines []Line) {
	for _, is := range r.of {
		if is.last.Times > 0 {
			lines = append(lines, is.last)
		}
	}
	r.of = nil
	return lines
}

func withoutDigits(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, text)
}
