package brokersim

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// Stage is where a fault acts.
type Stage int

const (
	// BeforeProcessing: the request was read; nothing is spent if the fault
	// ends it here.
	BeforeProcessing Stage = iota
	// AfterProcessing: the refresh token or code is spent, the answer has not
	// left.
	AfterProcessing
)

// Fault is what goes wrong with a token request. The functions of this package
// build the usual ones, and the methods of Fault say whom they meet:
//
//	sim.Inject(brokersim.ServerError(503).For("main").Repeat(3))
//	sim.Inject(brokersim.LostAnswer().At(brokersim.AfterProcessing))
type Fault struct {
	// Account and GrantType that the fault meets; empty: any.
	Account, GrantType string
	// Match narrows it further; nil: all. It must not call the Server.
	Match func(Request) bool
	// Times is how many requests it meets: 0 and 1 one, negative all.
	Times int

	// Stage at which Delay, Hold, Drop and Answer act, in that order.
	Stage  Stage
	Delay  time.Duration
	Hold   *Gate
	Drop   bool
	Answer *Answer
	// OAuthError is answered in the dialect's words, e.g. invalid_grant,
	// whatever the truth.
	OAuthError string

	// What follows shapes the server's own answer.

	// KeepRefreshToken makes a refresh leave the refresh token as it is.
	KeepRefreshToken bool
	// Change edits the members of a granted answer.
	Change func(members map[string]any)
	// Coding compresses the answer's body, asked for or not: gzip, deflate
	// (zlib, RFC 9110, section 8.4.1.2) or raw-deflate, which some servers call
	// deflate. Quiet leaves it out of the head.
	Coding string
	Quiet  bool
	// Cut ends the connection in the body: after CutAfter bytes, or half-way
	// if that is 0. The head has announced the whole length.
	Cut      bool
	CutAfter int
	// Drip is the time between single bytes of the body.
	Drip time.Duration
}

// For limits the fault to one account.
func (f Fault) For(account string) Fault { f.Account = account; return f }

// On limits the fault to one grant_type: refresh_token or authorization_code.
func (f Fault) On(grantType string) Fault { f.GrantType = grantType; return f }

// When limits the fault to requests that match.
func (f Fault) When(match func(Request) bool) Fault { f.Match = match; return f }

// Repeat lets the fault meet n requests; negative: all.
func (f Fault) Repeat(n int) Fault { f.Times = n; return f }

// At moves what the fault does to another stage.
func (f Fault) At(stage Stage) Fault { f.Stage = stage; return f }

// faultQueue is which faults are still to be met.
type faultQueue struct {
	counted *tallies // under whose lock it is
	faults  []*Fault
	chaos   chaos
}

// Inject queues faults. A request meets the first one in the queue that fits
// it, and only that.
func (s *faultQueue) Inject(faults ...Fault) {
	s.counted.mu.Lock()
	defer s.counted.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults = append(s.faults, &f)
	}
}

// ClearFaults empties the queue and ends Chaos. Requests that already met a
// fault go on with it.
func (s *faultQueue) ClearFaults() {
	s.counted.mu.Lock()
	defer s.counted.mu.Unlock()
	s.faults, s.chaos = nil, chaos{}
}

// PendingFaults is how many queued faults wait for a request.
func (s *faultQueue) PendingFaults() int {
	s.counted.mu.Lock()
	defer s.counted.mu.Unlock()
	return len(s.faults)
}

// pick takes the fault that req meets, or nil. s.mu is held.
func (s *faultQueue) pick(req Request) *Fault {
	i := slices.IndexFunc(s.faults, func(f *Fault) bool { return f.fits(req) })
	var met *Fault
	if i >= 0 {
		met = s.faults[i]
		if met.Times--; met.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
	} else if met = s.chaos.pick(req); met == nil {
		return nil
	}
	s.counted.tally.of(req.Account).Faults++
	return met
}

func (f *Fault) fits(req Request) bool {
	return (f.Account == "" || f.Account == req.Account) &&
		(f.GrantType == "" || f.GrantType == req.GrantType) &&
		(f.Match == nil || f.Match(req))
}

// meet lets the fault act if this is its stage. Afterwards either the request
// goes on, or it is answered; where the connection is to be cut, meet does not
// return.
//
// A client that goes away meanwhile changes nothing: a broker that has a
// request processes it.
func (s *Server) meet(f *Fault, stage Stage, ex *exchange, w http.ResponseWriter, r *http.Request) {
	if f == nil || f.Stage != stage {
		return
	}
	if f.Delay > 0 && !s.pause(f.Delay, nil) {
		abort()
	}
	if f.Hold != nil {
		if !f.Hold.wait(r.Context().Done(), s.closed) {
			abort()
		}
	}
	switch {
	case f.Drop:
		abort()
	case f.OAuthError != "":
		refused := refusal{
			code: f.OAuthError, detail: "a fault on request", deadStatus: s.cfg.DeadGrantStatus,
			credential: ex.form.Get("refresh_token") + ex.form.Get("code"),
			refresh:    ex.request.GrantType == grantRefresh,
		}
		s.answer(ex, w, r, s.rules.refuse(refused))
	case f.Answer != nil:
		s.answer(ex, w, r, *f.Answer)
	}
}

// shape applies the fault to the server's own answer.
func (f *Fault) shape(a Answer) Answer {
	if f == nil {
		return a
	}
	if f.Change != nil && a.Status < 300 {
		a.fields = maps.Clone(a.fields)
		f.Change(a.fields)
		a.encode()
	}
	if f.Coding != "" {
		a.compress(f.Coding, f.Quiet)
	}
	a.drip = f.Drip
	if f.Cut {
		a.cut = f.CutAfter + 1
		if f.CutAfter == 0 {
			a.cut = len(a.Body)/2 + 1
		}
	}
	return a
}
