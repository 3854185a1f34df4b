package refresh

import (
	"cmp"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// State of an account.
type State string

// Words are its name as people write it.
func (s State) Words() string { return strings.ReplaceAll(string(s), "_", " ") }

const (
	New        State = "new"
	Valid      State = "valid"
	Retrying   State = "retrying"
	Expired    State = "expired"
	Paused     State = "paused"
	NeedsLogin State = "needs_login"
)

// Status is what the Keeper knows of one account.
type Status struct {
	Shown
	// Record is the newest one; its Version is 0 if there is none.
	Record store.Record
	// Act names what gets the account its next token, and Spent what the attempt of
	// AmbiguousSince has perhaps used up.
	Act, Spent string
	// Forgiven is until when the server accepts that attempt's refresh token once
	// more all the same, so that nothing is lost yet; zero: it does not.
	Forgiven time.Time
	// Unread is the attempt whose answer nobody could read; "": there is none.
	Unread string
	// Asked is what a person has to decide about the shared file, before which
	// nothing is refreshed, and Ways how; "": nothing.
	Asked, Ways string
	// Zone is why the local times in the shared file, or in the file of the sink
	// ZoneSink, can't be right; "": nothing speaks against them.
	Zone, ZoneSink string
	// Shut is why the shared file can't be locked, if that takes a person: before
	// that nothing is refreshed; "": it can be, or will be before long.
	Shut string
	// Met: how the broker treats its tokens is known, on which what follows rests.
	Met bool
	// LoginEnd is what is known of the end of its login. EndMoves: a refresh puts
	// that end off. EndGuessed: it rests on a guess.
	LoginEnd             LoginEnd
	EndMoves, EndGuessed bool
	// GrantedElsewhere is why its refresh token is not sent if the token was granted to another
	// client or environment than the account's.
	GrantedElsewhere string
	// SessionGone: the broker says that the session of the newest token is over.
	SessionGone bool
	// By is how a person gives it a token.
	By advice.Token
	// Planned is how long before the end of an access token the next one comes, as long as
	// all goes well; 0: none is planned.
	Planned time.Duration
	// Mints: its next token is minted from its key.
	Mints bool
	// Undecided: its token was refused just now, and another one is looked for.
	Undecided bool
	// Login is the login that a person has begun, without its address; nil: none is
	// open.
	Login *login.Begun
}

// Status returns what is known of an account; ok is false if it is not this
// Keeper's.
func (k *Keeper) Status(name string) (s Status, ok bool) {
	a, ok := k.accounts[name]
	if !ok {
		return Status{}, false
	}
	if s = (view{a}).status(); s.Waiting == promise.LockHeld && s.InFlight {
		// To find out who holds a lock takes a while, and whoever does that
		// must keep nobody else.
		if err := a.share.Held(); err != nil {
			s.WaitingText = err.Error()
		} else {
			s.Waiting, s.WaitingText = promise.None, "" // it asks for the first time
		}
	}
	return s, true
}

// view is an account as it is shown.
type view struct{ *account }

func (a view) status() (s Status) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	at := a.keeper.clock.Now()
	now, o := at.Wall, a.outlook()
	s.State, s.Record, s.InFlight, s.MaxFailures = o.shown(), newestOf(o.state), a.guard.Taken(), a.cfg.MaxFailures
	s.Undecided, s.SessionGone = a.state().Undecided(), o.gone
	p, paused := pausable(a).pause()
	if s.Due, _ = a.plan.due(); paused {
		s.Due, s.Pause = time.Time{}, &p
	}
	s.Met, s.LoginEnd = o.nature.met, loginEnd(s.Record, o.nature)
	s.Mints, s.By = o.kind() == spool.KindMint, a.say.mended(a.rec())
	s.Act, s.Planned = actOf(o.kind()), o.planned()
	s.OldAccessDies = o.nature.policy.OldAccessDies || s.Mints && o.nature.repeat != sdk.RepeatHarmless
	s.EndMoves, s.EndGuessed = endMoves(s.Record, o.nature.policy), !endIsSure(s.Record, o.nature.policy)
	q := a.question()
	s.Asked, s.Ways, s.Withheld = q.Text, q.Ways, a.withheld()
	s.Shut, s.Zone = a.share.Shut()
	if a.stored() {
		s.GrantedElsewhere = o.grantedElsewhere()
	}
	if s.Zone == "" {
		s.Zone, s.ZoneSink = a.zone.fault, a.zone.sink
	}
	switch {
	case a.share.Locking():
		s.Waiting = promise.LockHeld
	case paused && q.Text == "":
		s.Waiting, s.WaitingText = promise.Paused, PauseText(p)
	case a.keeper.cfg.Observes && q.Text == "": // it has no turn
	case a.overdue(at):
		s.Waiting = a.waiting(at)
		s.WaitingText = s.Waiting.Text()
		if s.Waiting == a.plan.pause && a.plan.pauseText != "" {
			s.WaitingText = a.plan.pauseText
		}
	case limited(a).waits(now):
		s.Waiting, s.WaitingText = promise.Limit, a.plan.pauseText
	case loginWait(a).waits(now):
		s.Waiting, s.WaitingText = promise.LoginOpen, a.plan.pauseText
	case q.Text != "":
		s.Waiting = promise.Asked // it would wait at its due moment, too
	}
	if a.keeper.cfg.Observes {
		var unseen bool
		s.WouldFirst, unseen = sharing.Lacks(a.share, s.Record)
		s.Would = a.would(s, unseen && s.Record.Token.Valid(now))
	}
	if s.Waiting == promise.Asked {
		s.WaitingText = q.Text + "; " + q.Ways
	}
	if l := a.keeper.open.At(a.cfg.Name, now); l != nil {
		_, unpolled := limited(a).unpolled(l.Poll)
		open := l.Begun(unpolled)
		open.URL, open.UserCode, open.Instructions = "", "", ""
		s.Login = &open
	}
	if in := a.state().Ambiguous(); in != nil && in.ClientRefused == "" { // what was refused is its failure, which says why it waits
		s.AmbiguousSince, s.Spent = in.AmbiguousSince, spent(in.Kind)
		if grace := o.nature.grace(); grace > 0 {
			s.Forgiven = in.AmbiguousSince.Add(grace)
		}
		if in.Unread {
			s.Unread = cmp.Or(in.UnreadAttempt, in.Replays, in.Attempt)
		}
	}
	s.show()
	if a.revoking { // its answer may come
		s.RevokeUnknown = time.Time{}
	}
	if end := grantEnd(s.Record, o.nature); !end.At.IsZero() && !s.RefreshRefused {
		s.GrantExpiry, s.GrantExpiryUncertain = end.At, !end.Certain
	}
	return s
}

// newestOf is what consumers are served: the record, or the version that could
// not be stored yet.
func newestOf(s acct.State) store.Record {
	if held := s.Held(); held != nil {
		return *held
	}
	return s.Record()
}

// shown is the state of the account for people. That it is paused is said of one that would
// get its next token by itself otherwise.
func (o outlook) shown() State {
	rec, s := o.rec(), o.state
	_, paused := s.Pause(o.now)
	switch {
	case !s.Stored() && !KeyRefused(rec) && !(paused && rec.CanMint()):
		return New
	case rec.NeedsLogin(), o.ended():
		return NeedsLogin
	case paused:
		return Paused
	case !newestOf(s).Token.Valid(o.now):
		return Expired
	case rec.Health.Failures > 0 || s.Ambiguous() != nil || s.Lingers() != nil || s.IsCut() || s.IsAnswered():
		return Retrying
	default:
		return Valid
	}
}
