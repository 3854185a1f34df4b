package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Attempt is the account's attempt, by the stage at which it stands.
type Attempt struct{ Stage Stage }

// Stage is one of [Free], [Open], [Cut], [Unknown], [Answered] and [Unnoted].
type Stage interface{ name() string }

type (
	// Free: none is announced.
	Free struct{}
	// Open: it is announced, and may be under way.
	Open struct {
		Intent store.Intent
		// Counted: its failure is among those in a row.
		Counted bool
		// Over is the attempt in whose place it stands until it succeeds; nil:
		// none.
		Over Stage
	}
	// Cut: the process that made it is gone, or the store did not say whether it is
	// announced. What became of it is in the store and in the spool.
	Cut struct {
		// Of is Open, Answered or Unnoted; or Free or Unknown, if nobody could read
		// what is announced, or knows whether it is.
		Of Stage
		// Again: at its turn the account compares, because a disk kept it from that,
		// or did not take an announcement. Otherwise the next generation does.
		Again bool
	}
	// Unknown: it was perhaps sent, and nobody knows what became of it.
	Unknown struct {
		Intent store.Intent
		// Lingering: it may be under way where nobody sees it; nil: it can't be.
		Lingering *Lingering
	}
	// Answered: it brought a token, which the store did not take. It is durable in
	// the spool.
	Answered struct {
		Open
		// Next is the version that it will be, which is served from memory; nil: it
		// can't be.
		Next *store.Record
	}
	// Unnoted: it has failed, and the store did not take that. The provider goes
	// on giving the same verdict.
	Unnoted struct{ Open }
)

// Lingering is what is known of an attempt that another process, which nobody sees,
// may be making.
type Lingering struct {
	// Until nobody can be making it any more.
	Until time.Time
	// Why nobody knows whether it was sent, for a person.
	Why string
}

func (Free) name() string { return "free" }
func (Open) name() string { return "open" }
func (c Cut) name() string {
	if c.Again {
		return "cut, to be compared again"
	}
	return "cut"
}
func (u Unknown) name() string {
	if u.Lingering != nil {
		return "unknown, perhaps lingering"
	}
	return "unknown"
}
func (Answered) name() string { return "answered" }
func (Unnoted) name() string  { return "unnoted" }

// AtTurn is what the account would do at its turn, before anything is sent.
func (a Attempt) AtTurn() Action {
	does, _ := a.atTurn()
	return does
}

// atTurn is AtTurn, and whether the account can have its turn.
func (a Attempt) atTurn() (Action, bool) {
	switch at := a.Stage.(type) {
	case Answered, Unnoted:
		return Repeat, true
	case Cut:
		if at.Again {
			return Compare, true
		}
		return Wait, true
	case Free, Unknown:
		return Look, true
	}
	return Wait, false
}

// Ambiguous is the intent of the attempt of which nobody knows whether it has
// used up the refresh token; nil: there is none. It stays that during its replay,
// and during a login.
func (a Attempt) Ambiguous() *store.Intent { return ambiguous(a.Stage) }

// SentAfter says whether the newest replay of that is of a time after now.
func (a Attempt) SentAfter(now time.Time) bool {
	in := a.Ambiguous()
	return in != nil && sendsOf(*in).last.After(now)
}

// Lingers is the attempt that may be under way where nobody sees it; nil: there
// is none.
func (a Attempt) Lingers() *Lingering {
	if u, ok := a.Stage.(Unknown); ok {
		return u.Lingering
	}
	return nil
}

// Unfinished is the attempt whose outcome is known and not durable; ok is false if
// there is none.
func (a Attempt) Unfinished() (in store.Intent, ok bool) {
	switch at := a.Stage.(type) {
	case Answered:
		return at.Intent, true
	case Unnoted:
		return at.Intent, true
	}
	return store.Intent{}, false
}

// IsAnswered says whether a token waits for the store to take it.
func (a Attempt) IsAnswered() bool {
	_, ok := uncut(a.Stage).(Answered)
	return ok
}

// Held is the version that is served from memory; nil: none is.
func (a Attempt) Held() *store.Record {
	if at, ok := uncut(a.Stage).(Answered); ok {
		return at.Next
	}
	return nil
}

// IsOpen says whether that attempt is announced, and nothing stands over it.
func (a Attempt) IsOpen(attempt string) bool {
	o, ok := a.Stage.(Open)
	return ok && o.Intent.Attempt == attempt
}

// Ends is the login that the announced attempt ends; "": none.
func (a Attempt) Ends() string {
	o, _ := opened(uncut(a.Stage))
	return o.Intent.Login
}

// Exchanges says whether a login is being ended.
func (a Attempt) Exchanges() bool {
	o, ok := a.Stage.(Open)
	return ok && spool.IsLogin(o.Intent.Kind)
}

// IsFree says whether no attempt is announced.
func (a Attempt) IsFree() bool {
	_, free := a.Stage.(Free)
	return free
}

// IsCut says whether only the next generation can go on.
func (a Attempt) IsCut() bool {
	c, ok := a.Stage.(Cut)
	return ok && !c.Again
}

// IsCounted says whether its failure is among those in a row.
func (a Attempt) IsCounted() bool {
	o, _ := opened(a.Stage)
	return o.Counted
}

// refreshing is the refresh that is announced and has brought no token, also if the
// process is gone that made it.
func (a Attempt) refreshing() (o Open, ok bool) {
	o, ok = opened(uncut(a.Stage))
	_, answered := a.Stage.(Answered)
	return o, ok && !answered && !spool.IsLogin(o.Intent.Kind) && a.Held() == nil
}

// left is what a record that did not come of the attempt leaves of it: what stands
// in the spool of one that has its outcome, or that could not be compared, is
// looked at before anything new is sent. One that has sent what the record has stands
// as it did.
func (a Attempt) left(rec store.Record) Attempt {
	switch at := a.Stage.(type) {
	case Unknown:
		if left := at.Intent.LeftBy(rec); left != nil {
			return Attempt{Unknown{*left, at.Lingering}}
		}
	case Open:
		if at.Over != nil { // the login over it is over
			return Attempt{at.Over}.left(rec)
		}
		if left := at.Intent.LeftBy(rec); left != nil {
			return Attempt{Cut{Open{Intent: *left}, true}}
		}
	case Answered, Unnoted:
		return Attempt{Cut{Free{}, true}}
	case Cut:
		if at.Again {
			return Attempt{Cut{Free{}, true}}
		}
		if o, ok := opened(at.Of); ok {
			if left := o.Intent.LeftBy(rec); left != nil {
				return Attempt{Cut{Of: Open{Intent: *left}}}
			}
		}
	}
	return Attempt{Free{}}
}

func ambiguous(at Stage) *store.Intent {
	switch at := at.(type) {
	case Unknown:
		return marked(at.Intent)
	case Cut:
		return ambiguous(at.Of)
	}
	if o, ok := opened(at); ok && o.Over != nil {
		return ambiguous(o.Over)
	} else if ok {
		return marked(o.Intent)
	}
	return nil
}

// marked returns in if it is of an attempt, or the replay of one, that is known
// to be ambiguous.
func marked(in store.Intent) *store.Intent {
	if in.AmbiguousSince.IsZero() {
		return nil
	}
	return &in
}

// opened returns the attempt that is announced, whatever is known of it.
func opened(at Stage) (Open, bool) {
	switch at := at.(type) {
	case Open:
		return at, true
	case Answered:
		return at.Open, true
	case Unnoted:
		return at.Open, true
	}
	return Open{}, false
}

// reopened is at with o as what is announced.
func reopened(at Stage, o Open) Stage {
	switch at := at.(type) {
	case Open:
		return o
	case Answered:
		at.Open = o
		return at
	case Unnoted:
		return Unnoted{o}
	}
	return at
}

// ended is what stands once it has failed: what stood before, and of a replay
// what it was to find out.
func (o Open) ended() Stage {
	switch {
	case o.Over != nil:
		return o.Over
	case o.Intent.Replays != "":
		return Unknown{Intent: o.Intent}
	}
	return Free{}
}

// lost is an attempt whose process is gone, and with it what was under way beside:
// a refresh over which a login stands, or one login after the other.
func lost(at Stage) Stage {
	o, ok := opened(at)
	if !ok || o.Over == nil {
		return at
	}
	o.Over = lost(o.Over)
	if _, open := o.Over.(Open); open {
		o.Over = Cut{Of: o.Over}
	}
	return reopened(at, o)
}

func uncut(at Stage) Stage {
	if c, ok := at.(Cut); ok {
		return c.Of
	}
	return at
}
