package sink

import (
	"context"
	"time"
)

const (
	// firstLook, doubled up to lastLook, is how often an absent consumer is
	// looked for when nothing tells that it came.
	firstLook = time.Second
	lastLook  = 30 * time.Second
	// quickLook is the first pause after a sign that it came: a socket's file
	// exists a moment before anybody listens on it.
	quickLook = 20 * time.Millisecond
	// signPause: signs that follow each other faster do not hurry again.
	signPause = time.Second
)

// absence is a consumer that is not running: the lanes that wait for it, and
// one of them, the probe, that looks whether it is there again. A thousand
// accounts therefore cost as much as one. The worker's loop owns it.
type absence struct {
	waiting  map[*lane]struct{}
	probe    *lane
	pause    time.Duration
	due      time.Time
	lastSign time.Time
	why      string             // how the newest try found it absent
	stop     context.CancelFunc // ends Await; nil: nobody awaits
}

// present says whether nothing is known to be wrong with the consumer.
func (a *absence) present() bool { return len(a.waiting) == 0 && a.probe == nil }

// add lets the lane wait. It returns whether the consumer was present until
// now.
func (a *absence) add(l *lane, now time.Time) (first bool) {
	first = a.present()
	if a.waiting == nil {
		a.waiting = map[*lane]struct{}{}
	}
	a.waiting[l] = struct{}{}
	switch {
	case first:
		a.pause, a.due = firstLook, now.Add(firstLook)
	case a.probe == l:
		a.probe = nil
		a.pause = min(2*a.pause, lastLook)
		a.due = now.Add(a.pause)
	}
	return first
}

// remove takes out a lane that waits no longer.
func (a *absence) remove(l *lane) {
	delete(a.waiting, l)
	if a.probe == l {
		a.probe = nil
	}
}

// sign notes that the consumer may have come.
func (a *absence) sign(now time.Time) {
	a.endAwait()
	if a.present() || now.Sub(a.lastSign) < signPause {
		return
	}
	a.lastSign, a.pause = now, quickLook
	if a.probe == nil {
		a.due = now
	}
}

// look returns the lane to probe with when the moment has come.
func (a *absence) look(now time.Time) *lane {
	if a.probe != nil || len(a.waiting) == 0 || a.due.After(now) {
		return nil
	}
	for l := range a.waiting {
		a.probe = l
		delete(a.waiting, l)
		return l
	}
	return nil
}

// over ends the absence and returns the lanes that waited.
func (a *absence) over() []*lane {
	lanes := make([]*lane, 0, len(a.waiting))
	for l := range a.waiting {
		lanes = append(lanes, l)
	}
	a.endAwait()
	*a = absence{lastSign: a.lastSign}
	return lanes
}

func (a *absence) endAwait() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}
