package brokersim

import "sync"

// Gate holds one request open.
type Gate struct {
	// Entered is closed when the request has arrived at the gate.
	Entered <-chan struct{}
	// Gone is closed when the request's client goes away while it is held.
	Gone <-chan struct{}
	// Done is closed when the request has ended, answered or not, and the
	// counters know it.
	Done <-chan struct{}

	entered, gone, done, released, dropped chan struct{}
	enter, leave, end, decide              sync.Once
}

// NewGate returns a gate for [Fault.Hold]. It serves one request; create it in
// the synctest bubble that uses it.
func NewGate() *Gate {
	g := &Gate{
		entered: make(chan struct{}), gone: make(chan struct{}), done: make(chan struct{}),
		released: make(chan struct{}), dropped: make(chan struct{}),
	}
	g.Entered, g.Gone, g.Done = g.entered, g.gone, g.done
	return g
}

// Release lets the request go on. Releasing a gate before the request comes
// opens it.
func (g *Gate) Release() { g.decide.Do(func() { close(g.released) }) }

// Drop closes the request's connection without an answer.
func (g *Gate) Drop() { g.decide.Do(func() { close(g.dropped) }) }

// wait returns true when the request may go on. A client that goes away does
// not end it.
func (g *Gate) wait(gone, closed <-chan struct{}) bool {
	g.enter.Do(func() { close(g.entered) })
	for {
		select {
		case <-g.released:
			return true
		case <-g.dropped:
			return false
		case <-closed:
			return false
		case <-gone:
			gone = nil
			g.leave.Do(func() { close(g.gone) })
		}
	}
}

func (g *Gate) finish() { g.end.Do(func() { close(g.done) }) }

// HoldNext holds the account's next token request before it is processed, so
// that its refresh token is not spent yet. Account "" means any. The request
// stays until Release, Drop or Server.Close, also if its client goes away.
func (s *faultQueue) HoldNext(account string) *Gate { return s.hold(account, BeforeProcessing) }

// HoldNextAnswer holds the account's next token request after it was
// processed, before a byte of the answer leaves: the refresh token is spent.
func (s *faultQueue) HoldNextAnswer(account string) *Gate { return s.hold(account, AfterProcessing) }

func (s *faultQueue) hold(account string, stage Stage) *Gate {
	g := NewGate()
	s.Inject(Fault{Account: account, Stage: stage, Hold: g})
	return g
}
