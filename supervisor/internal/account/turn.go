package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Turn is an account at a moment: what it would send then, when what it has sent is
// sent again or given up, and until when it waits for a login. It changes nothing.
//
// A mint presents a key, and no token: it needs none, and begins a grant of its own.
// Its key is part of the account's record, as it is configured now.
//
// An attempt whose outcome nobody knows holds back every other one, because what it
// may have used up is all that the account has. With a key that is not so; nor is it
// where its provider makes such attempts no more. Then it is given up in the end, and
// the account goes on in another way. What its broker has answered stays where it is.
type Turn struct {
	State
	terms Terms
	now   time.Time
}

// Terms are what an account's turn depends on beside the account.
type Terms struct {
	// Grace is how long the server accepts a refresh token that it has replaced,
	// less what the clocks and the way may differ.
	Grace time.Duration
	// Timeout of an attempt: no answer to it can come after that.
	Timeout time.Duration
	// Stays: the server does not replace what is sent, and MintsBeside: a token that is
	// minted ends no other, by its provider's word.
	Stays, MintsBeside bool
	// Over: nothing follows from the token that stands, see [Turn.Kind].
	Over bool
	// SameSecrets: an attempt with which the client was refused would be made again with
	// the same secrets to choose from, at a broker that may have used up what was sent.
	SameSecrets bool
}

// beforeDeath is how long before an access token dies an open login holds up nothing
// any more, and beforeEnd before a refresh token does: with that goes the grant, and
// there must be time for a second attempt.
const (
	beforeDeath = time.Minute
	beforeEnd   = 5 * time.Minute
)

// Kind is the attempt by which the account gets its next token by itself:
// spool.KindRefresh, KindRenew or KindMint; "": none, somebody logs in. The replay of
// an attempt is of the same kind, and what follows one that is given up is not.
func (t Turn) Kind() string {
	rec := t.of()
	_, refused := t.Standing.(Refused)
	in, givenUp := t.Ambiguous(), t.isGivenUp()
	switch {
	case in != nil && !givenUp && (t.Stored() || in.Kind != spool.KindRefresh && in.Kind != spool.KindRenew):
		return in.Kind // without a record there is no token to send again
	case rec.Key != "" && (rec.Way == store.WayMint || !t.Stored() || refused || (t.terms.Over || givenUp) && rec.CanMint()):
		return spool.KindMint
	case !t.Stored():
		return ""
	}
	return KindOf(rec.Way)
}

// KindOf is the attempt that sends what a record spends; "": there is none.
func KindOf(w store.Way) string {
	switch w {
	case store.WayRefresh:
		return spool.KindRefresh
	case store.WayRenew:
		return spool.KindRenew
	}
	return ""
}

// Replay is when the same attempt is made again by itself; zero: never. why
// says it to people. Its attempt is Ambiguous.
func (t Turn) Replay() (at time.Time, why string) {
	in := t.Ambiguous()
	if in == nil || !t.makes(*in) {
		return time.Time{}, ""
	}
	sent := sendsOf(*in)
	if in.Kind == spool.KindMint {
		return sent.mintAt(t.terms)
	}
	rec := t.of()
	return sent.replayAt(t.terms, rec.RefreshExpiry, rec.Token.Expiry(), t.now)
}

// GiveUp is when an attempt whose outcome nobody knows is given up, if it is not settled
// before; zero: never. It is never before the moment after which no answer can come,
// because what takes its place might end the token that such an answer brings. Its
// attempt is Ambiguous.
func (t Turn) GiveUp() time.Time {
	in, rec := t.Ambiguous(), t.of()
	if in == nil {
		return time.Time{}
	}
	sent := sendsOf(*in)
	silent := sent.last
	if !sent.unread {
		silent = silent.Add(t.terms.Timeout)
	}
	switch {
	case !t.makes(*in):
		return silent
	case in.Kind == spool.KindMint, !rec.CanMint():
		return time.Time{}
	case !t.Stored(): // what would be sent again is not there
		return silent
	case t.terms.Over: // it is not worth much: but a replay may still bring a better one
		return moment.Later(silent, moment.Earlier(t.needed(), sent.first.Add(t.terms.Grace)))
	}
	if at, _ := t.Replay(); !at.IsZero() && !sent.unread {
		return time.Time{}
	}
	return moment.Later(silent, t.needed()) // until then somebody may mend an answer that nobody could read
}

// HeldBy is until when the account announces nothing by itself because of a login
// that is open until then (zero: none is); zero: it is not held. What the login
// brings ends the grant, so an attempt on the way to it is spent for nothing, and may
// come in its way. A replay that counts on the time for which the server accepts a
// refresh token again can't wait, nor can a token of which nobody knows the age,
// because the clock was set back.
func (t Turn) HeldBy(login time.Time) time.Time {
	rec := t.of()
	if login.IsZero() || rec.Token.Expiry().IsZero() || rec.Token.IssuedAt.After(t.now) || t.Ambiguous() != nil && t.terms.Grace > 0 {
		return time.Time{}
	}
	until := moment.Earlier(login, rec.Token.Expiry().Add(-beforeDeath))
	if !rec.RefreshExpiry.IsZero() {
		until = moment.Earlier(until, rec.RefreshExpiry.Add(-beforeEnd))
	}
	if until.After(t.now) {
		return until
	}
	return time.Time{}
}

// spend says whether what the account has may be sent: not while it is paused, unless a
// person insists, nor while a login is open, unless he does or the token would die. ok is
// false if nothing can be sent of an account that stands like that.
func (t Turn) spend(asked, insisted bool, login time.Time) (does Action, ok bool) {
	does, ok = t.spendNow(asked, insisted)
	_, paused := t.Pause(t.now)
	switch {
	case does != Announce || insisted:
	case paused: // whatever dies meanwhile
		does = Rest
	case !t.HeldBy(login).IsZero():
		does = Await
	}
	return does, ok
}

// spendNow is spend of an account that goes its way, and has no open login.
func (t Turn) spendNow(asked, insisted bool) (does Action, ok bool) {
	switch at := t.Stage.(type) {
	case Free:
		if t.mayBegin(asked) {
			return Announce, true
		}
		return Wait, true
	case Unknown:
		switch again, _ := t.Replay(); {
		case at.Lingering != nil && t.now.Before(at.Lingering.Until):
			return Wait, true
		case at.Lingering == nil && t.isGivenUp():
			return End, true
		case at.Lingering == nil && !t.makes(at.Intent):
			return Wait, true
		case !t.Stored() && at.Intent.Kind != spool.KindMint && !t.of().CanMint():
			return Wait, true
		case at.Lingering != nil && marked(at.Intent) == nil && t.harmless(at.Intent):
			return End, true
		case at.Lingering != nil, marked(at.Intent) == nil:
			return Mark, true
		case insisted, !again.IsZero() && !again.After(t.now):
			return Announce, true
		}
		return Wait, true
	}
	return Wait, false
}

// mayBegin says whether the account's next attempt may be made now: what was refused is
// sent only if somebody asks.
func (t Turn) mayBegin(asked bool) bool {
	kind := t.Kind()
	_, refused := t.Standing.(Refused)
	if kind == spool.KindMint {
		refused = !t.of().CanMint()
	}
	return kind != "" && (asked || !refused)
}

// harmless says whether nothing is lost with the answer to that attempt: what was sent
// stays good. A broker that has replaced a refresh token at the last refresh is not
// believed to leave it.
func (t Turn) harmless(in store.Intent) bool {
	rec := t.of()
	if in.Kind == spool.KindMint {
		return t.terms.MintsBeside
	}
	return t.terms.Stays && (rec.Way != store.WayRefresh || rec.Parent == "" || rec.Parent == rec.Token.RefreshToken.Fingerprint())
}

// makes says whether the account's provider still makes attempts of that kind.
func (t Turn) makes(in store.Intent) bool {
	rec := t.of()
	if in.Kind == spool.KindMint {
		return rec.Key != ""
	}
	return !t.Stored() || KindOf(rec.Way) == in.Kind
}

// needed is when consumers need another token; zero: nobody knows.
func (t Turn) needed() time.Time {
	if end := t.Expiry(); !end.IsZero() {
		return end.Add(-beforeDeath)
	}
	return time.Time{}
}

func (t Turn) isGivenUp() bool {
	at := t.GiveUp()
	return !at.IsZero() && !at.After(t.now)
}
