package history

import (
	"hash/maphash"
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
//
// Each event ends rows of its account alone: who publishes waits for it, and in an outage
// every account may have one.
type repeats struct {
	of map[string]map[repeatedly]*repeated // by account
}

// repeatedly is which failures of an account they are.
type repeatedly struct {
	is             event.Type
	provider, sink string
}

// repeated are those of one reason.
type repeated struct {
	why     uint64
	inRow   int
	written time.Time
	// last of those that are not written yet, the number of which it has; nil: all are.
	last *Line
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
	key, why := repeatedly{l.Type, l.Provider, l.Sink}, reason(l)
	is := r.of[l.Account][key]
	if is == nil || is.why != why {
		out := []Line{l}
		if is != nil && is.last != nil {
			out = []Line{*is.last, l}
		}
		r.begin(l.Account, key, &repeated{why: why, inRow: 1, written: l.Time})
		return out
	}
	if is.inRow++; is.inRow <= singly {
		is.written = l.Time
		return []Line{l}
	}
	l.Times, l.First = 1, l.Time
	if is.last != nil {
		l.Times, l.First = is.last.Times+1, is.last.First
	}
	if since := l.Time.Sub(is.written); since.Abs() < together { // the clock may have been set back
		last := l
		is.last = &last
		return nil
	}
	is.last, is.written = nil, l.Time
	return []Line{l}
}

// MayLack says whether the lines up to a moment may lack failures of a type about an account:
// in a long row they are joined, and written when that is full or something else follows.
func MayLack(lines []Line, account string, is event.Type, at time.Time) bool {
	row, why, lost := 0, uint64(0), false
	for _, l := range lines {
		own := l.Account == account && !l.Again
		if l.Time.After(at) && (own || l.Type == RunEnded) {
			return lost || own && l.Type == is && l.Times > 0 && !l.First.After(at)
		}
		switch {
		case l.Type == RunBegan: // before it, all was written but by one that was killed
			row, lost = 0, lost || row >= singly
		case l.Type == RunEnded:
			row = 0
		case own && l.Type == is:
			if next := reason(l); next != why {
				row, why = 0, next
			}
			row++
			if l.Times > 0 { // the row had begun before
				row = max(row, singly)
			}
		case own && l.IsToken():
			row, lost = 0, false
		case own && !joins(l.Type):
			row = 0
		}
	}
	return lost || row >= singly
}

func (r *repeats) begin(account string, key repeatedly, is *repeated) {
	if r.of == nil {
		r.of = map[string]map[repeatedly]*repeated{}
	}
	if r.of[account] == nil {
		r.of[account] = map[repeatedly]*repeated{}
	}
	r.of[account][key] = is
}

// end ends the rows of an account, "" of what is none's, and returns what of them is not
// written yet.
func (r *repeats) end(account string) (lines []Line) {
	for _, is := range r.of[account] {
		if is.last != nil {
			lines = append(lines, *is.last)
		}
	}
	delete(r.of, account)
	return lines
}

// all is the rest, when the run ends.
func (r *repeats) all() (lines []Line) {
	for account := range r.of {
		lines = append(lines, r.end(account)...)
	}
	return lines
}

var seed = maphash.MakeSeed()

// reason is the same of failures that differ in digits alone: in when, or how often.
func reason(l Line) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(l.Kind)
	for n := range len(l.Message) {
		if c := l.Message[n]; c < '0' || c > '9' {
			_ = h.WriteByte(c)
		}
	}
	return h.Sum64()
}
