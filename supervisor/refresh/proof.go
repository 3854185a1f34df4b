package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what may be concluded of an attempt from what its
// provider's spool says of it, or does not say.

// proof is what a spool proves of an attempt.
type proof struct {
	// same: this is the very spool in which it was noted, and the note can't
	// be lost. So what the spool says of it is the truth, and one of which it
	// says nothing was not sent.
	same bool
	// until is when nobody can be making it any more.
	until time.Time
	// why nobody knows whether it was sent, for a person.
	why string
}

// prove says what the spool named id, in the boot named boot, proves of in. An
// attempt is noted before the provider is asked, so one that is not noted was
// not sent: but only if this is the very spool, and the page cache, which alone
// holds the note, has lived on since. An attempt that names no end takes
// longest.
func prove(in store.Intent, id, boot string, now time.Time, longest time.Duration) proof {
	begun := in.At.Format(time.RFC3339)
	p := proof{until: in.Until}
	if p.until.IsZero() {
		p.until = in.At.Add(longest)
	}
	if last := now.Add(longest); p.until.After(last) {
		p.until = last // the clock was set back
	}
	switch {
	case in.Boot == "" || in.Boot != boot:
		p.why = "the machine went down during the attempt begun " + begun
	case in.Spool == "":
		p.why = "the attempt begun " + begun + " was cut off, and nobody knows in which spool it was noted"
	case in.Spool != id:
		p.why = "the attempt begun " + begun + " was noted in a spool that is not there any more: its folder was " +
			"removed, replaced or copied, its note was damaged, or its disk is gone"
	default:
		p.same = true
	}
	return p
}

// fill writes into an intent where its attempt will be noted, when it is over, and
// what it is one of.
func (a *leased) fill(in *store.Intent) {
	in.Spool = a.keeper.spool.id()
	in.Until = in.At.Add(a.cfg.Timeout + answerMargin)
	limited{a.account}.counting(in)
}

// callAnew makes an attempt that was not sent once more, under another id, if
// that was because the spool is not the one any more that it was announced for.
// Otherwise it returns the failure as it was.
func (a attempt) callAnew(ctx context.Context, failure error) (store.Intent, believed, error) {
	asking, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if _, err := a.keeper.spool.read(asking, a.keeper.cfg.Provider, a.remote, a.keeper.clock); err != nil || a.keeper.spool.id() == a.in.Spool {
		return a.in, believed{}, failure
	}
	a.Log().Warn("the provider's spool is another one than before; the attempt was not sent, and is announced for the new one", "attempt", a.in.Attempt)
	next := a.in
	next.Attempt, next.At = newAttempt(), a.keeper.clock.Now().Wall
	a.fill(&next)
	a.uncounted(&next)
	if err := a.keeper.cfg.Store.Replace(ctx, a.in.Attempt, next); err != nil {
		return a.in, believed{}, errors.Join(failure, err)
	}
	crashpoint.Here("refresh: announced for another spool")
	a.forget()
	a.tell(acct.Moved{Intent: next})
	a.free(ctx, a.in.Attempt)
	answer, err := a.attempt(next).call(ctx)
	return next, answer, err
}

// awaitLingering lets an attempt come to its end before it counts as ambiguous.
func (a attempt) awaitLingering(ctx context.Context, p proof) error {
	a.keeper.mu.Lock()
	a.step(acct.Lingers{Lingering: acct.Lingering{Until: p.until, Why: p.why}})
	a.replan()
	a.keeper.mu.Unlock()
	if err := (unknown{a.leased}).end(ctx); errors.Is(err, errLingering) {
		a.Log().Warn("an attempt may be under way elsewhere; its refresh token is left alone until that is over", "attempt", a.in.Attempt, "until", p.until, "why", p.why)
		return nil
	} else if err != nil {
		return err
	}
	return a.again()
}

var errLingering = errors.New("an attempt may still be under way elsewhere")

// end ends an attempt that can't be under way any more: it is ambiguous,
// unless nothing is lost with its answer. One that is ambiguous it gives up when it is
// time. The error is errLingering if it can.
func (a unknown) end(ctx context.Context) error {
	a.keeper.mu.Lock()
	u, _ := a.state().Stage.(acct.Unknown)
	does := a.step(a.wanted())
	if u.Lingering != nil && does == acct.Wait {
		a.replan()
		a.keeper.mu.Unlock()
		return fmt.Errorf("account %s: %w, until %s: %s. Try again then", a.cfg.Name, errLingering, u.Lingering.Until.Format(time.RFC3339), u.Lingering.Why)
	}
	a.keeper.mu.Unlock()
	in := u.Intent
	switch {
	case u.Lingering == nil && does == acct.End:
		return a.giveUp(ctx)
	case u.Lingering != nil && does == acct.End:
		return lost{a.attempt(in)}.abandon(ctx, u.Lingering.Why)
	case u.Lingering == nil || does != acct.Mark:
		return nil
	}
	if begun := a.keeper.clock.Now().Wall.Add(-a.cfg.Timeout); in.At.After(begun) {
		in.At = begun // the clock was set back, and the attempt is over all the same
	}
	return lost{a.attempt(in)}.mark(ctx, u.Lingering.Why)
}
