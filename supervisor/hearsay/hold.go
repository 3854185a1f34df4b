package hearsay

import (
	"sync"
	"time"
)

// heldFor is how long something that a plugin says is held back at most. A
// plugin prints a new token, if it does, between the broker's answer and its
// own, which are no seconds apart; and a person who looks why a call hangs does
// not want to wait for its end.
const heldFor = 5 * time.Second

// hold keeps what a plugin says while a call is open whose answer may bring a
// new secret: nobody can take out what nobody knows yet. Its zero value holds
// nothing.
type hold struct {
	mu    sync.Mutex
	last  uint64              // the number of the newest call
	open  map[uint64]struct{} // the calls that have no answer yet
	queue []held
	// turning: somebody is telling what was held.
	turning bool
	timer   *time.Timer
}

// held is one thing to tell.
type held struct {
	after uint64 // every call up to this one has its answer
	at    time.Time
	tell  func()
}

// begin notes a call; landed is called when what it brought is known.
func (h *hold) begin() (landed func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	number := h.last
	if h.open == nil {
		h.open = map[uint64]struct{}{}
	}
	h.open[number] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.open, number)
		if len(h.queue) > 0 && !h.turning {
			h.turning = true
			go h.turn() // the call's own answer does not wait for a log
		}
	}
}

// WhenKnown calls tell when the secrets are known that are on their way to the
// supervisor now: at once, or some seconds later, in the order of the calls of
// WhenKnown and never two at a time.
func (s *Secrets) WhenKnown(tell func()) {
	h := &s.hold
	h.mu.Lock()
	h.queue = append(h.queue, held{h.last, time.Now(), tell})
	turn := !h.turning
	if turn {
		h.turning = true
	}
	h.mu.Unlock()
	if turn {
		h.turn()
	}
}

// turn tells what need not be held any more.
func (h *hold) turn() {
	for {
		h.mu.Lock()
		if len(h.queue) == 0 || h.waits(h.queue[0]) {
			h.turning = false
			h.mu.Unlock()
			return
		}
		next := h.queue[0].tell
		h.queue[0] = held{}
		h.queue = h.queue[1:]
		h.mu.Unlock()
		next()
	}
}

// waits says whether something must be held, and sees to it that it is not held
// for ever. The caller holds mu.
func (h *hold) waits(first held) bool {
	left := heldFor - time.Since(first.at)
	if left <= 0 || !h.isOpen(first.after) {
		return false
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	h.timer = time.AfterFunc(left, func() {
		h.mu.Lock()
		turn := !h.turning
		h.turning = true
		h.mu.Unlock()
		if turn {
			h.turn()
		}
	})
	return true
}

// isOpen says whether a call up to a number has no answer yet.
func (h *hold) isOpen(number uint64) bool {
	for open := range h.open {
		if open <= number {
			return true
		}
	}
	return false
}
