package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// claim waits until nobody is at work on the account and takes its lease, which is
// given back by release.
func (a *account) claim(ctx context.Context) (*leased, error) { return a.claimWith(ctx, nil) }

// claimWith is claim for who has a code (nil: he has none). If the lease is nil, too,
// whoever has it has spent the code.
func (a *account) claimWith(ctx context.Context, code *spending) (*leased, error) {
	for told := false; ; told = true {
		if err := a.keeper.retired(a.cfg.Name); err != nil {
			return nil, err
		}
		a.keeper.mu.Lock()
		if l := a.try(); l != nil {
			a.keeper.mu.Unlock()
			return l, nil
		}
		idle := make(chan struct{})
		a.wish.idle = append(a.wish.idle, idle)
		var codes chan<- *spending
		waits := ""
		if code != nil {
			codes = a.wish.codes
			if !a.keeper.nature().beside {
				waits = ", and this build of provider " + a.keeper.cfg.Provider + " can't spend a code meanwhile"
			}
		}
		a.keeper.mu.Unlock()
		if waits != "" && !told {
			a.Log().Warn("the code of a login waits: the account is being refreshed" + waits)
		}
		select {
		case codes <- code:
			<-code.done
			return nil, nil
		case <-idle:
		case <-a.keeper.over:
		case <-ctx.Done():
			return nil, fmt.Errorf("account %s is being refreshed%s: %w", a.cfg.Name, waits, ctx.Err())
		}
	}
}

// byName are the accounts of a Keeper.
type byName map[string]*account

// claim is [account.claim] of the one of that name. One that is not here is
// [ErrUnknownAccount].
func (all byName) claim(ctx context.Context, name string) (*leased, error) {
	a, ok := all[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	return a.claim(ctx)
}

// ifIdle does something with an account that nobody is at work on, and says whether
// that was so. The caller holds k.mu.
func (a *account) ifIdle(do func(*leased)) bool {
	l := a.try()
	if l == nil {
		return false
	}
	defer l.lease.End()
	do(l)
	return true
}

// errWentBack: the token that was sent is dead, and the one before it, which was
// not asked about yet, is the record's now.
var errWentBack = errors.New("the refresh token that was found elsewhere was refused; the one before it is tried")

// errAnswersNobody: nothing was to be sent in that turn, so that it has no outcome
// for anybody. Whoever has asked meanwhile waits on.
var errAnswersNobody = errors.New("nothing was to be sent in that turn, and it answers nobody")

// errEnding: nothing was announced, because the process is about to be ended. The
// account is due again as soon as the next one serves.
var errEnding = errors.New("the provider's process is about to be ended")

// finish ends an attempt and tells its outcome to those who asked for it. After
// errWentBack, errEnding and errAnswersNobody they wait for the next one.
func (a *leased) finish(outcome error) {
	a.keeper.mu.Lock()
	var waiters []asker
	if !errors.Is(outcome, errWentBack) && !errors.Is(outcome, errEnding) && !errors.Is(outcome, errAnswersNobody) {
		waiters = a.wish.answered()
	}
	a.keeper.mu.Unlock()
	for _, w := range waiters {
		w.outcome <- outcome
	}
	a.release()
	a.keeper.countOut()
}

// release ends the work on an account. Whoever has asked for a refresh
// meanwhile gets one.
func (a *leased) release() {
	a.keeper.mu.Lock()
	idle := a.wish.idle
	a.wish.idle = nil
	if a.wish.unmet {
		a.apply()
		a.wish.anew = true
	}
	_, planned := a.plan.due()
	loginOver := a.plan.pause == promise.LoginOpen && (loginWait{a.account}).until(a.keeper.clock.Now().Wall).IsZero()
	if a.wish.anew || a.wish.missed && !planned || loginOver {
		a.replan()
	}
	a.wish.missed, a.wish.anew = false, false
	a.wish.serve(newestOf(a.state()).Version)
	switch {
	case a.state().IsCut(), delayed{a}.turnForAsked():
	case a.look.wanted:
		sharer{a}.lookSoon()
	}
	a.lease.End()
	a.keeper.mu.Unlock()
	for _, c := range idle {
		close(c)
	}
	a.keeper.signal()
}

// tell says to an account's state what has happened, and returns what is to be
// done now.
func (a *leased) tell(e acct.Event) acct.Action {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	return a.step(e)
}

// step is tell for a caller that holds k.mu.
func (a *leased) step(e acct.Event) acct.Action {
	before := troublesOf(a.state())
	action, err := a.lease.Happened(e, a.keeper.clock.Now().Wall)
	if err != nil {
		a.Log().Error("a defect of Tokenkeeper, which does nothing about this account now: please report it", "error", err)
		return acct.Wait
	}
	limited{a.account}.counts(e)
	if troublesOf(a.state()) != before {
		a.changes()
	}
	return action
}

// troubles is what of an account's state may begin or end an alert.
type troubles struct {
	failures              int
	needsLogin, ambiguous bool
	waits, keyRefused     bool
	loginAt               time.Time
}

// changes notes that an alert may begin or end with the account. The caller holds
// k.mu.
func (a *account) changes() {
	a.keeper.changed[a.cfg.Name] = true
	a.keeper.cfg.Events.Nudge()
}

// Changed are the accounts with which an alert may have begun or ended since the
// last call.
func (k *Keeper) Changed() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := k.changed
	k.changed = map[string]bool{}
	return names
}

func troublesOf(s acct.State) troubles {
	rec := s.Record()
	return troubles{rec.Health.Failures, rec.NeedsLogin() && !s.Undecided(), s.Ambiguous() != nil, rec.Candidate != nil, KeyRefused(rec), rec.LoginAt}
}

// unfinished says whether an attempt was answered, or failed, and the store has
// not taken that.
func unfinished(s acct.State) bool {
	_, ok := s.Unfinished()
	return ok
}
