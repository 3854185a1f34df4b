package brokersim

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Window is how far a token request has come.
type Window string

const (
	// Received: read, not processed: its refresh token is not spent.
	Received Window = "received"
	// Processed: granted or refused, the answer has not left.
	Processed Window = "processed"
	// Answered: the whole answer was handed to the network.
	Answered Window = "answered"
)

// Request is what a test may know of a token request.
type Request struct {
	// Account whose refresh token or code the request carries; empty if
	// unknown.
	Account   string
	GrantType string
	// Number of the request among those of the account, from 1.
	Number int
	// Fingerprint of its refresh token, if that is known.
	Fingerprint string
	Received    time.Time
}

// Reuse is one use of a refresh token that was already spent: what must never
// happen.
type Reuse struct {
	Time        time.Time
	Account     string
	Fingerprint string
	// Spent is when the token was spent.
	Spent time.Time
	// InGrace: the reuse was forgiven. Otherwise it revoked the grant.
	InGrace bool
}

// Violation is a token request that the dialect does not allow, or whose
// client is wrong. A correct client with a correct configuration causes none.
type Violation struct {
	Time    time.Time
	Account string
	Text    string
}

// Counts of one account, or of all of them.
type Counts struct {
	// Posts is the number of token requests received, Processed and Answered
	// how many came that far. One that a fault answered before its time is
	// Answered but not Processed.
	Posts, Processed, Answered int
	// OpenReceived and OpenProcessed are in that window at this moment.
	OpenReceived, OpenProcessed int
	// CutReceived and CutProcessed ended in that window without a whole
	// answer: a fault cut them, or their client was gone.
	CutReceived, CutProcessed int

	Logins    int // by Grant or by code
	Refreshes int // granted
	Refused   int
	Faults    int // requests that met a fault
	// Repeats counts requests with a refresh token that an earlier request
	// carried too, spent or not. Only where refresh tokens are single-use.
	Repeats int
	// Reused counts requests with a spent refresh token.
	Reused int
	// Ousted counts grants that a later login ended, where few are allowed, and
	// Beats the keepalive calls for a living grant.
	Ousted, Beats int
	// Revocations counts those that were answered with a success (RFC 7009).
	Revocations int

	ResourcesServed, ResourcesRefused int
}

// Open is how many token requests are open at this moment.
func (c Counts) Open() int { return c.OpenReceived + c.OpenProcessed }

func (c *Counts) add(d Counts) {
	for _, f := range []struct {
		sum *int
		n   int
	}{
		{&c.Posts, d.Posts}, {&c.Processed, d.Processed}, {&c.Answered, d.Answered},
		{&c.OpenReceived, d.OpenReceived}, {&c.OpenProcessed, d.OpenProcessed},
		{&c.CutReceived, d.CutReceived}, {&c.CutProcessed, d.CutProcessed},
		{&c.Logins, d.Logins}, {&c.Refreshes, d.Refreshes}, {&c.Refused, d.Refused},
		{&c.Ousted, d.Ousted}, {&c.Beats, d.Beats}, {&c.Revocations, d.Revocations},
		{&c.Faults, d.Faults}, {&c.Repeats, d.Repeats}, {&c.Reused, d.Reused},
		{&c.ResourcesServed, d.ResourcesServed}, {&c.ResourcesRefused, d.ResourcesRefused},
	} {
		*f.sum += f.n
	}
}

// Stats is a snapshot of all counters.
type Stats struct {
	Total Counts
	// Accounts by name; "" holds requests whose account is unknown.
	Accounts   map[string]Counts
	Violations int
}

// tallies are what has become of each request so far.
type tallies struct {
	site
	mu      sync.Mutex // guards what follows, and all that is built upon it
	tally   tally
	changed chan struct{} // closed and replaced at every change
}

// tally is guarded by that.
type tally struct {
	accounts   map[string]*Counts
	reuses     []Reuse
	violations []Violation
}

func newTally() tally { return tally{accounts: map[string]*Counts{}} }

func (t *tally) of(account string) *Counts {
	c := t.accounts[account]
	if c == nil {
		c = &Counts{}
		t.accounts[account] = c
	}
	return c
}

// Stats returns all counters at one moment.
func (s *tallies) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats()
}

func (s *tallies) stats() Stats {
	out := Stats{Accounts: make(map[string]Counts, len(s.tally.accounts)), Violations: len(s.tally.violations)}
	for name, c := range maps.All(s.tally.accounts) {
		out.Accounts[name] = *c
		out.Total.add(*c)
	}
	return out
}

// Account returns the counters of one account.
func (s *tallies) Account(name string) Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.tally.of(name)
}

// Reused lists every use of a spent refresh token, oldest first.
func (s *tallies) Reused() []Reuse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tally.reuses)
}

// Violations lists every malformed or unauthenticated token request.
func (s *tallies) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tally.violations)
}

// violate lists a violation. s.mu is held.
func (s *tallies) violate(account, text string) {
	s.tally.violations = append(s.tally.violations, Violation{Time: s.now(), Account: account, Text: text})
	s.notify()
}

// answered closes the request: the whole answer went to the network.
func (s *tallies) answered(ex *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeWindow(ex).Answered++
	ex.window = Answered
	s.notify()
}

// unanswered takes answered back: the answer did not get through. s.leave
// counts it as cut.
func (s *tallies) unanswered(ex *exchange, window Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ex.window != Answered {
		return
	}
	ex.window = window
	c := s.tally.of(ex.request.Account)
	c.Answered--
	if window == Received {
		c.OpenReceived++
	} else {
		c.OpenProcessed++
	}
	s.notify()
}

// abort cuts the request's connection; it does not return.
func abort() {
	panic(http.ErrAbortHandler)
}

// leave ends a request, and counts it if it had no whole answer.
func (s *tallies) leave(ex *exchange, fault *Fault) {
	if fault != nil && fault.Hold != nil {
		defer fault.Hold.finish()
	}
	if ex.window == Answered {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.closeWindow(ex)
	if ex.window == Received {
		c.CutReceived++
	} else {
		c.CutProcessed++
	}
	s.notify()
}

// closeWindow takes the request out of the window in which it is. s.mu is
// held.
func (s *tallies) closeWindow(ex *exchange) *Counts {
	c := s.tally.of(ex.request.Account)
	if ex.window == Received {
		c.OpenReceived--
	} else {
		c.OpenProcessed--
	}
	return c
}

// notify wakes those who wait for a change; s.mu is held.
func (s *tallies) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Wait returns as soon as done holds for the counters; it looks again at each
// change and does not poll. The error is ctx's.
func (s *tallies) Wait(ctx context.Context, done func(Stats) bool) error {
	for {
		s.mu.Lock()
		stats, changed := s.stats(), s.changed
		s.mu.Unlock()
		if done(stats) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("brokersim: waiting for the simulated %s: %w", s.cfg.Dialect, context.Cause(ctx))
		}
	}
}
