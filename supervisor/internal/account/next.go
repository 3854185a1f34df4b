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
		next = next.keyed(s.of().Key)
	}
	if !ok {
		return s, Wait, fmt.Errorf("%w: %s, while its token is %s and its attempt %s", ErrImpossible, e.event(), s.Standing.name(), s.Stage.name())
	}
	return next, action, nil
}

func (s State) next(e Event, now time.Time) (State, Action, bool) {
	switch e := e.(type) {
	case Due:
		does, ok := s.atTurn()
		return s, does, ok
	case Spend:
		does, ok := s.At(e.Terms, now).spend(e.Asked, e.Insisted, e.Login)
		return s, does, ok
	case Announced, NotAnnounced, Moved, Calls, Lost:
		return s.underWay(e)
	case Stored, Beside, NotStored, Failed, Ended, NotEnded, Unanswered, Marked, Denied, NothingElse, Judged, GivenUp:
		return s.outcome(e, now)
	case Found, NotFound, NotSettled, Lingers:
		return s.settle(e)
	case Taken:
		return s.to(StandingOf(e.Record), s.left(e.Record)), Plan, true
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

// underWay is the way of an attempt up to its outcome.
func (s State) underWay(e Event) (State, Action, bool) {
	o, isOpened := opened(s.Stage)
	_, isOpen := s.Stage.(Open)
	switch e := e.(type) {
	case Announced:
		return s.announced(e.Intent)
	case NotAnnounced:
		return s.unclear()
	case Moved:
		o.Intent = e.Intent
		if isOpen {
			s.Stage = o
		}
		return s, Call, isOpen
	case Calls:
		does := Repeat
		if isOpen {
			does = Call
		}
		s.Stage = uncut(s.Stage)
		o, ok := opened(s.Stage)
		return s, does, ok && o.Intent.Attempt == e.Intent.Attempt
	case Lost:
		s.Stage = Cut{Of: lost(s.Stage)}
		return s, Wait, isOpened
	}
	return s, Wait, false
}

// announced begins an attempt: one at a time, and what was answered is stored
// first. A login stands over whatever was there, also if the store has nothing of
// that.
func (s State) announced(in store.Intent) (State, Action, bool) {
	over, replay := in.Before != nil || spool.IsLogin(in.Kind), in.Replays != ""
	_, none := s.Standing.(None)
	possible := false
	switch a := s.Stage.(type) {
	case Free:
		possible = over || !replay
	case Unknown:
		possible = over || replay && in.Kind == a.Intent.Kind
	case Cut, Unnoted:
		possible = over && !s.IsAnswered()
	case Open: // a code does not wait for a refresh that is under way
		o, _ := opened(s.Stage)
		possible = spool.IsLogin(in.Kind) && !spool.IsLogin(o.Intent.Kind) && in.Before != nil
	}
	if !possible || none && !spool.IsLogin(in.Kind) && in.Kind != spool.KindMint {
		return s, Wait, false
	}
	o := Open{Intent: in}
	if over {
		o.Over = s.Stage
	}
	return s.to(s.Standing, Attempt{o}), Call, true
}

// unclear is an account of which nobody knows what is announced: before that was
// read again nothing is sent.
func (s State) unclear() (State, Action, bool) {
	s.Stage = Cut{lost(uncut(s.Stage)), true}
	return s, BackOff, true
}

// outcome is the end of an attempt: what is durable first, then what follows.
func (s State) outcome(e Event, now time.Time) (State, Action, bool) {
	_, unknown := s.Stage.(Unknown)
	_, free := s.Stage.(Free)
	o, isOpened := opened(s.Stage)
	_, answered := s.Stage.(Answered)
	refreshes := isOpened && !answered && !spool.IsLogin(o.Intent.Kind)
	switch e := e.(type) {
	case Stored:
		return s.to(StandingOf(e.Record), Attempt{Free{}}), Deliver, true
	case Beside:
		possible := isOpened && spool.IsLogin(o.Intent.Kind) && s.Held() == nil && s.isAt(e.Record.Version)
		return s.to(StandingOf(e.Record), Attempt{o.ended()}), Wait, possible
	case NotStored:
		next := e.Next
		if a, ok := s.Stage.(Answered); ok {
			next = a.Next
		}
		s.Stage = Answered{o, next}
		return s, BackOff, isOpened
	case Failed:
		return s.failed(e, free || unknown || isOpened)
	case Ended:
		if u, ok := s.Stage.(Unknown); ok && u.Lingering != nil && marked(u.Intent) == nil {
			s.Stage = Free{}
			return s, Again, true
		}
		if c, ok := s.Stage.(Cut); ok {
			o, isOpened = opened(c.Of)
			possible := isOpened && s.Held() == nil
			s.Stage = o.ended()
			return s, Again, possible
		}
		s.Stage = o.ended()
		return s, Wait, isOpened && !answered
	case NotEnded:
		if o, ok := s.Stage.(Open); ok {
			s.Stage = Unnoted{o}
		}
		return s, BackOff, true
	case Unanswered:
		o, refreshes := s.refreshing()
		if marked(o.Intent) == nil && s.At(e.Terms, now).harmless(o.Intent) {
			return s, End, refreshes
		}
		return s, Mark, refreshes
	case Marked:
		if _, refreshes := s.refreshing(); !refreshes && !unknown {
			return s, Wait, false
		}
		rec := s.Record()
		rec.Health.Ambiguous = e.Intent.AmbiguousSince
		s = s.with(rec)
		s.Stage = Unknown{Intent: e.Intent}
		return s, Replay, marked(e.Intent) != nil
	case Denied:
		s = s.with(denied(s.Record(), o.Intent.Kind, e.Fingerprint))
		if o.Intent.Kind == spool.KindMint { // a token found elsewhere is no better key
			return s, End, refreshes
		}
		return s, Search, refreshes
	case NothingElse:
		if rec := s.Record(); rec.Refused() && len(rec.Unproven(rec.Token)) > 0 {
			return s, GoBack, refreshes
		}
		return s, End, refreshes
	case Judged:
		return s.to(StandingOf(e.Record), Attempt{Free{}}), Plan, true
	case GivenUp:
		return s.to(StandingOf(e.Record), Attempt{Free{}}), Plan, unknown && s.Ambiguous() != nil
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
	o, isOpened := opened(s.Stage)
	rec := s.Record()
	if !o.Counted {
		rec.Health.Failures++
	}
	action, replayed := BackOff, marked(o.Intent) != nil
	if u, ok := s.Stage.(Unknown); ok {
		replayed = marked(u.Intent) != nil
	}
	_, answered := s.Stage.(Answered)
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
		s.Stage = reopened(s.Stage, o)
	}
	return s, action, true
}

// settle is what a generation finds when it begins.
func (s State) settle(e Event) (State, Action, bool) {
	switch e := e.(type) {
	case Found:
		of := uncut(s.Stage)
		if o, ok := opened(of); !ok || o.Intent.Attempt != e.Intent.Attempt {
			o := Open{Intent: e.Intent}
			if e.Intent.Before != nil {
				o.Over = Cut{Of: Open{Intent: *e.Intent.Before}}
			}
			of = o
		}
		s.Stage = Cut{Of: lost(of)}
		return s, Compare, true
	case NotFound:
		_, wasCut := s.Stage.(Cut)
		s.Stage = Free{}
		if wasCut {
			return s, Plan, true
		}
		return s, Wait, true
	case NotSettled:
		switch a := s.Stage.(type) {
		case Cut:
			s.Stage = Cut{a.Of, true}
			return s, BackOff, true
		case Free, Unknown:
			if e.Disk {
				s.Stage = Cut{a, true}
				return s, BackOff, true
			}
		}
		return s, Wait, true
	case Lingers:
		in, ok := store.Intent{}, false
		switch a := s.Stage.(type) {
		case Unknown:
			in, ok = a.Intent, true
		case Cut:
			var o Open
			o, ok = opened(a.Of)
			in = o.Intent
		}
		ok = ok && s.Held() == nil && !spool.IsLogin(in.Kind)
		s.Stage = Unknown{in, &e.Lingering}
		return s, Plan, ok
	}
	return s, Wait, false
}

// reread is what the store has before an attempt. What it does not have is kept:
// the failures of an attempt that is open, and an end that follows from the
// provider's policy.
func (s State) reread(rec store.Record) State {
	if had := s.Record(); had.Version == rec.Version {
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
	switch a := s.Stage.(type) {
	case Unknown:
		a.Intent.SentAt = now
		s.Stage = a
	case Open:
		a.Intent.SentAt = now
		s.Stage = a
	}
	return s, Wait, true
}

// isAt says whether a record stands, and is of that version.
func (s State) isAt(version uint64) bool {
	return version > 0 && s.Record().Version == version
}

func (s State) with(rec store.Record) State { return s.to(StandingOf(rec), s.Attempt) }

// to is the account with another token, or another attempt, on the same course.
func (s State) to(st Standing, a Attempt) State { return State{st, a, s.Course} }

// keyed is the account with that key.
func (s State) keyed(key string) State {
	if s.of().Key == key {
		return s
	}
	rec := s.Record()
	rec.Key = key
	return s.with(rec)
}

// denied notes that the server refused what an attempt of that kind has sent, if that
// is what the account would send now.
func denied(rec store.Record, kind, fingerprint string) store.Record {
	switch {
	case kind == spool.KindMint && rec.Key == fingerprint:
		rec.Health.KeyRefused = fingerprint
	case kind != spool.KindMint && rec.Spends().Fingerprint() == fingerprint:
		rec.Health.NeedsLogin = fingerprint
	}
	return rec
}
