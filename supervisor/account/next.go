package account

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrImpossible: that can't happen to an account in that state. It is a defect of
// who tells it.
var ErrImpossible = errors.New("this can't happen to an account that stands like that")

// Next is what becomes of an account by what has happened, and what is to be done
// now. After [ErrImpossible] the state is as it was, and nothing is to be done.
func Next(s State, e Event, now time.Time) (State, Action, error) {
	next, action, ok := s.next(e, now)
	if k, ok := e.(Keyed); ok {
		next = s.keyed(k.Key)
	} else { // no record that is read from anywhere knows it
		next = next.keyed(s.Standing.of().Key)
	}
	if !ok {
		return s, Wait, fmt.Errorf("%w: %s, while its token is %s and its attempt %s", ErrImpossible, e.event(), s.Standing.name(), s.Attempt.name())
	}
	return next, action, nil
}

func (s State) next(e Event, now time.Time) (State, Action, bool) {
	switch e := e.(type) {
	case Due:
		return s.due()
	case Spend:
		return s.spend(e, now)
	case Announced, NotAnnounced, Moved, Calls, Lost:
		return s.underWay(e)
	case Stored, Beside, NotStored, Failed, Ended, NotEnded, Unanswered, Marked, Denied, NothingElse, Judged, GivenUp:
		return s.outcome(e)
	case Found, NotFound, NotSettled, Lingers:
		return s.settle(e)
	case Taken:
		return State{StandingOf(e.Record), s.left()}, Plan, true
	case Reread:
		return s.reread(e.Record), Wait, true
	case Corrected:
		return s.with(e.Record), Wait, s.isAt(e.Record.Version)
	case Keyed:
		return s, Wait, true
	case SetBack:
		return s.setBack(now)
	}
	return s, Wait, false
}

// left is what a record that did not come of the attempt leaves of it: what stands
// in the spool of one that has its outcome, or that could not be compared, is
// looked at before anything new is sent.
func (s State) left() Attempt {
	switch a := s.Attempt.(type) {
	case Answered, Unnoted:
		return Cut{Free{}, true}
	case Cut:
		if a.Again {
			return Cut{Free{}, true}
		}
	}
	return Free{}
}

// underWay is the way of an attempt up to its outcome.
func (s State) underWay(e Event) (State, Action, bool) {
	o, isOpened := opened(s.Attempt)
	_, isOpen := s.Attempt.(Open)
	switch e := e.(type) {
	case Announced:
		return s.announced(e.Intent)
	case NotAnnounced:
		return s.unclear()
	case Moved:
		o.Intent = e.Intent
		if isOpen {
			s.Attempt = o
		}
		return s, Call, isOpen
	case Calls:
		does := Repeat
		if isOpen {
			does = Call
		}
		s.Attempt = uncut(s.Attempt)
		o, ok := opened(s.Attempt)
		return s, does, ok && o.Intent.Attempt == e.Intent.Attempt
	case Lost:
		s.Attempt = Cut{Of: lost(s.Attempt)}
		return s, Wait, isOpened
	}
	return s, Wait, false
}

// lost is an attempt whose process is gone, and with it what was under way beside:
// a refresh over which a login stands, or one login after the other.
func lost(a Attempt) Attempt {
	o, ok := opened(a)
	if !ok || o.Over == nil {
		return a
	}
	o.Over = lost(o.Over)
	if _, open := o.Over.(Open); open {
		o.Over = Cut{Of: o.Over}
	}
	return reopened(a, o)
}

// announced begins an attempt: one at a time, and what was answered is stored
// first. A login stands over whatever was there, also if the store has nothing of
// that.
func (s State) announced(in store.Intent) (State, Action, bool) {
	over, replay := in.Before != nil || spool.IsLogin(in.Kind), in.Replays != ""
	_, none := s.Standing.(None)
	possible := false
	switch a := s.Attempt.(type) {
	case Free:
		possible = over || !replay
	case Unknown:
		possible = over || replay && in.Kind == a.Intent.Kind
	case Cut, Unnoted:
		possible = over && !s.IsAnswered()
	case Open: // a code does not wait for a refresh that is under way
		o, _ := opened(s.Attempt)
		possible = spool.IsLogin(in.Kind) && !spool.IsLogin(o.Intent.Kind) && in.Before != nil
	}
	if !possible || none && !spool.IsLogin(in.Kind) && in.Kind != spool.KindMint {
		return s, Wait, false
	}
	o := Open{Intent: in}
	if over {
		o.Over = s.Attempt
	}
	return State{s.Standing, o}, Call, true
}

// unclear is an account of which nobody knows what is announced: before that was
// read again nothing is sent.
func (s State) unclear() (State, Action, bool) {
	s.Attempt = Cut{lost(uncut(s.Attempt)), true}
	return s, BackOff, true
}

// outcome is the end of an attempt: what is durable first, then what follows.
func (s State) outcome(e Event) (State, Action, bool) {
	_, unknown := s.Attempt.(Unknown)
	_, free := s.Attempt.(Free)
	o, isOpened := opened(s.Attempt)
	_, answered := s.Attempt.(Answered)
	refreshes := isOpened && !answered && !spool.IsLogin(o.Intent.Kind)
	switch e := e.(type) {
	case Stored:
		return State{StandingOf(e.Record), Free{}}, Deliver, true
	case Beside:
		possible := isOpened && spool.IsLogin(o.Intent.Kind) && s.Held() == nil && s.isAt(e.Record.Version)
		return State{StandingOf(e.Record), o.ended()}, Wait, possible
	case NotStored:
		next := e.Next
		if a, ok := s.Attempt.(Answered); ok {
			next = a.Next
		}
		s.Attempt = Answered{o, next}
		return s, BackOff, isOpened
	case Failed:
		return s.failed(e, free || unknown || isOpened)
	case Ended:
		if u, ok := s.Attempt.(Unknown); ok && u.Elsewhere != nil && marked(u.Intent) == nil {
			s.Attempt = Free{}
			return s, Again, true
		}
		if c, ok := s.Attempt.(Cut); ok {
			o, isOpened = opened(c.Of)
			possible := isOpened && s.Held() == nil
			s.Attempt = o.ended()
			return s, Again, possible
		}
		s.Attempt = o.ended()
		return s, Wait, isOpened && !answered
	case NotEnded:
		if o, ok := s.Attempt.(Open); ok {
			s.Attempt = Unnoted{o}
		}
		return s, BackOff, true
	case Unanswered:
		o, refreshes := s.refreshing()
		if marked(o.Intent) == nil && s.harmless(e.Terms, o.Intent) {
			return s, End, refreshes
		}
		return s, Mark, refreshes
	case Marked:
		if _, refreshes := s.refreshing(); !refreshes && !unknown {
			return s, Wait, false
		}
		rec := s.Standing.Record()
		rec.Health.Ambiguous = e.Intent.AmbiguousSince
		s = s.with(rec)
		s.Attempt = Unknown{Intent: e.Intent}
		return s, Replay, marked(e.Intent) != nil
	case Denied:
		s = s.with(denied(s.Standing.Record(), o.Intent.Kind, e.Fingerprint))
		if o.Intent.Kind == spool.KindMint { // a token found elsewhere is no better key
			return s, End, refreshes
		}
		return s, Search, refreshes
	case NothingElse:
		if rec := s.Standing.Record(); rec.Refused() && len(rec.Unproven(rec.Token)) > 0 {
			return s, GoBack, refreshes
		}
		return s, End, refreshes
	case Judged:
		return State{StandingOf(e.Record), Free{}}, Plan, true
	case GivenUp:
		return State{StandingOf(e.Record), Free{}}, Plan, unknown && s.Ambiguous() != nil
	}
	return s, Wait, false
}

// failed counts a failure, once, and says when the next try is. Of an account for
// which only a person can do something it is the refusal that stays noted, and nothing
// is tried again.
func (s State) failed(e Failed, possible bool) (State, Action, bool) {
	if !possible {
		return s, Wait, false
	}
	o, isOpened := opened(s.Attempt)
	rec := s.Standing.Record()
	if !o.Counted {
		rec.Health.Failures++
	}
	action, replayed := BackOff, marked(o.Intent) != nil
	if u, ok := s.Attempt.(Unknown); ok {
		replayed = marked(u.Intent) != nil
	}
	_, answered := s.Attempt.(Answered)
	switch {
	case rec.NeedsLogin() && !replayed && !answered:
		action = Plan
	default:
		rec.Health.LastError, rec.Health.LastKind, rec.Health.LastFailure = e.Error, e.Kind, e.At
		if replayed && !answered && e.Kind != sdk.KindNotSent {
			action = Replay
		}
	}
	s = s.with(rec)
	if isOpened {
		o.Counted = true
		if marked(o.Intent) != nil && e.Kind != sdk.KindNotSent { // it has reached the server
			o.Intent.Sends, o.Intent.SentAt = sendsOf(o.Intent).sends+1, o.Intent.At
		}
		s.Attempt = reopened(s.Attempt, o)
	}
	return s, action, true
}

// ended is what stands once it has failed: what stood before, and of a replay
// what it was to find out.
func (o Open) ended() Attempt {
	switch {
	case o.Over != nil:
		return o.Over
	case o.Intent.Replays != "":
		return Unknown{Intent: o.Intent}
	}
	return Free{}
}

// settle is what a generation finds when it begins.
func (s State) settle(e Event) (State, Action, bool) {
	switch e := e.(type) {
	case Found:
		of := uncut(s.Attempt)
		if o, ok := opened(of); !ok || o.Intent.Attempt != e.Intent.Attempt {
			o := Open{Intent: e.Intent}
			if e.Intent.Before != nil {
				o.Over = Cut{Of: Open{Intent: *e.Intent.Before}}
			}
			of = o
		}
		s.Attempt = Cut{Of: lost(of)}
		return s, Compare, true
	case NotFound:
		_, wasCut := s.Attempt.(Cut)
		s.Attempt = Free{}
		if wasCut {
			return s, Plan, true
		}
		return s, Wait, true
	case NotSettled:
		switch a := s.Attempt.(type) {
		case Cut:
			s.Attempt = Cut{a.Of, true}
			return s, BackOff, true
		case Free, Unknown:
			if e.Disk {
				s.Attempt = Cut{a, true}
				return s, BackOff, true
			}
		}
		return s, Wait, true
	case Lingers:
		in, ok := store.Intent{}, false
		switch a := s.Attempt.(type) {
		case Unknown:
			in, ok = a.Intent, true
		case Cut:
			var o Open
			o, ok = opened(a.Of)
			in = o.Intent
		}
		ok = ok && s.Held() == nil && !spool.IsLogin(in.Kind)
		s.Attempt = Unknown{in, &e.Elsewhere}
		return s, Plan, ok
	}
	return s, Wait, false
}

// reread is what the store has before an attempt. What it does not have is kept:
// the failures of an attempt that is open, and an end that follows from the
// provider's policy.
func (s State) reread(rec store.Record) State {
	if had := s.Standing.Record(); had.Version == rec.Version {
		if s.Ambiguous() != nil {
			rec.Health = had.Health
		}
		if rec.RefreshExpiry.IsZero() {
			rec.RefreshExpiry = had.RefreshExpiry
		}
		if rec.Version == 0 && had.Health != (store.Health{}) {
			rec.Health = had.Health // of which the store has only that a key was refused
		}
	}
	return s.with(rec)
}

// setBack lets nothing be waited for twice because the clock was set back.
func (s State) setBack(now time.Time) (State, Action, bool) {
	switch a := s.Attempt.(type) {
	case Unknown:
		a.Intent.SentAt = now
		s.Attempt = a
	case Open:
		a.Intent.SentAt = now
		s.Attempt = a
	}
	return s, Wait, true
}

// isAt says whether a record stands, and is of that version.
func (s State) isAt(version uint64) bool {
	return version > 0 && s.Standing.Record().Version == version
}

func (s State) with(rec store.Record) State { return State{StandingOf(rec), s.Attempt} }

// reopened is a with o as what is announced.
func reopened(a Attempt, o Open) Attempt {
	switch a := a.(type) {
	case Open:
		return o
	case Answered:
		a.Open = o
		return a
	case Unnoted:
		return Unnoted{o}
	}
	return a
}
