package keepalive

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// The lanes: accounts whose last call has used its whole time have places of their own,
// so that they keep none of the others waiting, and those whose calls seem to end the
// process go one after the other, so that it shows which of them does.
const (
	quick = iota
	slow
	suspect
)

// lane is where beats of one sort wait for their time and for a place.
type lane struct {
	heap         *schedule.Heap
	flying, most int
}

type lanes [3]lane

const (
	leastAtOnce = 64
	mostAtOnce  = 1024
)

// lanesFor has places for twice what so many accounts need, by how long an answer
// usually takes.
func lanesFor(accounts int, every time.Duration) lanes {
	need := int(2 * float64(accounts) * promise.UsualAnswer.Seconds() / max(every, time.Second).Seconds())
	most := min(max(need, leastAtOnce), mostAtOnce)
	return lanes{quick: {schedule.NewHeap(), 0, most}, slow: {schedule.NewHeap(), 0, most / 2}, suspect: {schedule.NewHeap(), 0, 1}}
}

// next takes a place for an account whose beat is due; if there is none, wait is until
// when. A wait that is not positive is how late the account is.
func (l *lanes) next(now schedule.Instant) (name string, in int, wait time.Duration) {
	wait = schedule.Farthest
	for n := range l {
		if l[n].flying >= l[n].most {
			continue
		}
		name, left, ok := l[n].heap.Next(now)
		switch {
		case ok && left <= 0:
			l[n].heap.Remove(name)
			l[n].flying++
			return name, n, left
		case ok:
			wait = min(wait, left)
		}
	}
	return "", 0, wait
}

// replan is told that the clocks have drifted apart.
func (l *lanes) replan(now schedule.Instant) {
	for n := range l {
		l[n].heap.Replan(now)
	}
}
