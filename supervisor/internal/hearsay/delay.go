package hearsay

import (
	"sync"
	"time"
)

// delayMost is how long something that a plugin says is kept back. A
// plugin prints a new token, if it does, between the broker's answer and its
// own, which are no seconds apart; and a person who looks why a call hangs does
// not want to wait for its end.
const delayMost = 5 * time.Second

// delay keeps back what a plugin says while a call is open whose answer may bring a
// new secret: nobody can take out what nobody knows yet. Its zero value keeps back
// nothing.
type delay struct {
	mu    sync.Mutex
	last  uint64              // the number of the newest call
	open  map[uint64]struct{} // the calls that have no answer yet
	queue []delayed
	// turning: somebody is telling what was kept back.
	turning bool
	timer   *time.Timer
}

// delayed is one thing to tell.
type delayed struct {
	after uint64 // every call up to this one has its answer
	at    time.Time
	tell  func()
}

// begin notes a call; landed is called when what it brought is known.
func (d *delay) begin() (landed func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	number := d.last
	if d.open == nil {
		d.open = map[uint64]struct{}{}
	}
	d.open[number] = struct{}{}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, number)
		if len(d.queue) > 0 && !d.turning {
			d.turning = true
			go d.turn() // the call's own answer does not wait for a log
		}
	}
}

// WhenKnown calls tell when the secrets are known that are on their way to the
// supervisor now: at once, or some seconds later, in the order of the calls of
// WhenKnown and never two at a time.
func (s *Secrets) WhenKnown(tell func()) {
	d := &s.delay
	d.mu.Lock()
	d.queue = append(d.queue, delayed{d.last, time.Now(), tell})
	turn := !d.turning
	if turn {
		d.turning = true
	}
	d.mu.Unlock()
	if turn {
		d.turn()
	}
}

// turn tells what need not be kept back any more.
func (d *delay) turn() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 || d.waits(d.queue[0]) {
			d.turning = false
			d.mu.Unlock()
			return
		}
		next := d.queue[0].tell
		d.queue[0] = delayed{}
		d.queue = d.queue[1:]
		d.mu.Unlock()
		next()
	}
}

// waits says whether something must be kept back, and sees to it that it is not for
// ever. The caller holds mu.
func (d *delay) waits(first delayed) bool {
	left := delayMost - time.Since(first.at)
	if left <= 0 || !d.isOpen(first.after) {
		return false
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		turn := !d.turning
		d.turning = true
		d.mu.Unlock()
		if turn {
			d.turn()
		}
	})
	return true
}

// isOpen says whether a call up to a number has no answer yet.
func (d *delay) isOpen(number uint64) bool {
	for open := range d.open {
		if open <= number {
			return true
		}
	}
	return false
}
