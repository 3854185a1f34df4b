package refresh

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// This file holds how a code comes in while a refresh of its account is under way,
// which may take as long as the broker hangs: a code lives 30 s at some. Whoever
// waits for the refresh's answer has the lease, and spends the code meanwhile. If
// that brings a token, the refresh was of an old grant, and its answer is kept as
// evidence; otherwise it counts as if there had been no code.

// hearing is an attempt whose answer is waited for.
type hearing struct{ attempt }

// listens says whether a code may come in while the attempt is under way.
func (a hearing) listens(does acct.Action) bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	return does == acct.Call && !spool.IsLogin(a.in.Kind) && a.slots == nil && a.keeper.nature().beside
}

// hear makes the call, and spends the codes that come until it is answered.
func (a hearing) hear(ctx context.Context, does acct.Action) (believed, error) {
	call := a.prepared(ctx)
	if !a.listens(does) {
		return call()
	}
	var answer believed
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answer, err = call()
	}()
	codes := a.invite()
	defer a.uninvite()
	for {
		select {
		case <-answered:
			return answer, err
		case s := <-codes:
			s.rec, s.err = loggingIn{a.leased}.complete(ctx, s)
			a.exchange = nil
			close(s.done)
		}
	}
}

// invite lets codes come in. Who waits for the lease with one is told.
func (a hearing) invite() <-chan *spending {
	codes := make(chan *spending)
	a.underWay = a.in.Attempt
	a.keeper.mu.Lock()
	idle := a.wish.idle
	a.wish.codes, a.wish.idle = codes, nil
	a.keeper.mu.Unlock()
	for _, c := range idle {
		close(c)
	}
	return codes
}

func (a hearing) uninvite() {
	a.underWay = ""
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	a.wish.codes = nil
}

// overtaken says whether the attempt, whose call was made just now, does not stand
// announced any more: a code came in.
func (a hearing) overtaken(does acct.Action) bool {
	return does == acct.Call && !a.state().IsOpen(a.in.Attempt)
}

// late ends an attempt that a code has overtaken.
func (a hearing) late(ctx context.Context, answer believed, err error) error {
	lost := errors.Is(err, sdk.ErrConnection)
	if _, unfinished := a.state().Unfinished(); lost && unfinished {
		a.tell(acct.Lost{})
	}
	switch {
	case lost || a.state().IsCut(): // the next generation settles both
		if err == nil && answer.SpoolFault != "" { // it is nowhere else
			err = answered{a.attempt, answer}.setAside(ctx, answer.Token, "the provider's process was lost before the login over it was settled")
		}
		a.share.Keep()
		return errors.Join(fmt.Errorf("account %s, attempt %s: %w", a.cfg.Name, a.in.Attempt, sdk.ErrConnection), err)
	case !a.state().IsFree() || a.stands(ctx): // the store and the spool say what is announced
		a.tell(acct.NotAnnounced{})
		_, err := settler{a.leased}.settleAgain(ctx)
		return err
	case err != nil:
		a.Log().Info("the refresh that a login has overtaken brought no token", "attempt", a.in.Attempt, "error", err)
		a.free(ctx, a.in.Attempt)
		return nil
	}
	e := spool.Entry{Progress: spool.Answered, BegunAt: a.in.At, Header: spool.Header{
		Attempt: a.in.Attempt, Account: a.cfg.Name, Kind: a.in.Kind, Version: a.in.Version, Fingerprint: a.in.Fingerprint,
	}}
	if err := (stray{a.leased, e}).keep(ctx, answer); err != nil {
		if !errors.Is(err, sdk.ErrConnection) {
			a.desk().late = &e
			settler{a.leased}.laterAgain(err)
		}
		return err
	}
	return nil
}

// stands says whether the store has the attempt as announced, or can't say it.
func (a hearing) stands(ctx context.Context) bool {
	in, open, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	return err != nil || open && in.Attempt == a.in.Attempt
}

// settleLate keeps the answer of an old grant that could not be kept when it came,
// before a new attempt needs its slot.
func (a settler) settleLate(ctx context.Context) error {
	err := stray{a.leased, *a.desk().late}.settle(ctx)
	if err != nil {
		a.laterAgain(err)
		return err
	}
	a.laterOver()
	return nil
}

// laterOver plans an account again to which nothing comes late any more.
func (a settler) laterOver() {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if a.desk().late != nil {
		a.desk().late = nil
		a.replan()
	}
}

// laterAgain plans another try to keep such an answer.
func (a settler) laterAgain(err error) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if now := a.keeper.clock.Now().Wall; !a.plan.kept(now, a.rec().Version).at.IsZero() {
		a.replan()
		return
	}
	why := promise.DiskAway
	if errors.Is(err, sdk.ErrConnection) {
		why = promise.Unsettled
	}
	delayed(a).retryUnasked(3, why, err)
}
