package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds the way of a token: an account has its turn, looks whether
// somebody has a newer one, announces an attempt, makes it, makes its outcome
// durable, and only then hands it on. What is to be done in which state is said
// by package account; outcome.go has the ways on which no token comes, and
// settle.go how each is gone on with after a death.

// answerMargin is how much longer than the attempt's own deadline the call to
// the provider may take, so that the provider's verdict still arrives.
const answerMargin = 5 * time.Second

// settleTimeout bounds the call that frees a spool slot.
const settleTimeout = 5 * time.Second

// cycle is one attempt for one account, whose lease is taken. Once the intent is
// committed nothing cancels it: ctx gives values only.
func (k *Keeper) cycle(ctx context.Context, remote *sdk.Remote, a *leased) error {
	ctx = context.WithoutCancel(ctx)
	settled, err := k.settleAgain(ctx, remote, a)
	if err == nil && !(settled && k.comesLater(a)) {
		k.askAhead(ctx, a)
		err = k.withShared(ctx, a, func() error { return k.turn(ctx, remote, a) })
	}
	k.landed(a, err)
	return err
}

// comesLater says whether the account, which was settled in its turn, has its next
// one at another time, and nobody waits for a refresh.
func (k *Keeper) comesLater(a *leased) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	due, planned := k.heap.Due(a.cfg.Name)
	return planned && due.After(k.clock.Now().Wall) && !a.wish.asked()
}

// turn is what happens under the lock: adopt what is newer, and only if
// nothing is, refresh.
func (k *Keeper) turn(ctx context.Context, remote *sdk.Remote, a *leased) error {
	switch k.tell(a, acct.Due{}) {
	case acct.Repeat:
		in, _ := a.state().Unfinished()
		return k.attempt(ctx, remote, a, in)
	case acct.Look:
	default:
		return nil
	}
	adopted, err := k.adopt(ctx, a)
	if errors.Is(err, errAsked) && k.insisted(a.account) {
		err = nil
	}
	unseen := errors.Is(err, errUnseen)
	if adopted || err != nil && !unseen {
		k.saw(a)
		return err
	}
	taken, doubt, failed := k.consult(ctx, a)
	if taken {
		k.saw(a)
		return failed
	}
	if k.lookOnly(a) {
		return nil
	}
	if !a.stored() {
		return fmt.Errorf("account %s: %w", a.cfg.Name, errNothingShared)
	}
	if err := k.endLingering(ctx, a); err != nil {
		return err
	}
	if err := k.mayBeSent(a); err != nil {
		return err
	}
	if send, err := k.spend(a); !send {
		return err
	}
	if unseen {
		if err := k.unseen(a, err); err != nil {
			return err
		}
	}
	if err := k.waitInDoubt(a, doubt); err != nil {
		return err
	}
	if err := k.prove(a); err != nil {
		return err
	}
	in, err := k.intend(ctx, a)
	if err != nil {
		return err
	}
	return k.attempt(ctx, remote, a, in)
}

// spend says whether the refresh token may be sent now. If not, the account is
// planned anew, and the error is for those who wait.
func (k *Keeper) spend(a *leased) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.step(a, k.wanted(a)) == acct.Announce {
		return true, nil
	}
	k.plan(a)
	if a.state().Ambiguous() != nil && a.wish.asked() {
		return false, k.heldBack(a)
	}
	return false, nil
}

// wanted is what those want who wait for a refresh. The caller holds k.mu.
func (k *Keeper) wanted(a *leased) acct.Spend {
	if a.state().Ambiguous() != nil {
		k.replay(a) // by a clock that may have been set back
	}
	return acct.Spend{Asked: a.wish.asked(), Insisted: a.wish.insisted, Terms: k.terms(a.account)}
}

// saw ends a wish to look.
func (k *Keeper) saw(a *leased) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a.file.look = false
}

// intend commits the announcement of the attempt, which also proves that the
// disk can be written. If it fails the token is not spent.
func (k *Keeper) intend(ctx context.Context, a *leased) (store.Intent, error) {
	rec, err := k.cfg.Store.Load(ctx, a.cfg.Name)
	if err != nil {
		return store.Intent{}, k.diskTrouble(a, fmt.Errorf("read the record before a refresh: %w", err))
	}
	in := store.Intent{
		Account: a.cfg.Name, Provider: k.cfg.Provider, Attempt: newAttempt(), Kind: spool.KindRefresh,
		Version: rec.Version, Grant: rec.Grant, Fingerprint: rec.Token.RefreshToken.Fingerprint(),
		At: k.clock.Now().Wall, Boot: k.cfg.Boot,
	}
	k.place(a, &in)
	k.tell(a, acct.Reread{Record: rec})
	standing := a.state().Ambiguous()
	if standing == nil {
		err = k.cfg.Store.Intend(ctx, in)
	} else {
		k.replays(&in, *standing)
		err = k.cfg.Store.Replace(ctx, standing.Attempt, in)
	}
	if err != nil {
		return store.Intent{}, k.notAnnounced(a, fmt.Errorf("announce the attempt, so the refresh token was not used: %w", err))
	}
	crashpoint.Here("refresh: the intent stands")
	k.tell(a, acct.Announced{Intent: in})
	return in, nil
}

// attempt makes the call and stores its outcome. Called again with the same
// intent it gets the same answer: that is what recovery is.
func (k *Keeper) attempt(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent) error {
	defer k.took(time.Now())
	does := k.tell(a, acct.Calls{Intent: in})
	if does == acct.Wait {
		return k.unexpected(a)
	}
	answer, err := k.call(ctx, remote, a, in)
	if does == acct.Call && sdk.KindOf(err) == sdk.KindNotSent {
		in, answer, err = k.callAnew(ctx, remote, a, in, err)
	}
	if a.state().Held() != nil && err != nil && !errors.Is(err, sdk.ErrConnection) {
		return k.keepHeld(ctx, remote, a, in)
	}
	crashpoint.Here("refresh: the call has returned")
	if !errors.Is(err, sdk.ErrConnection) {
		k.sawAnswer()
	}
	switch {
	case err == nil:
		if other := k.belongsTo(a, in, answer.Token); other != "" {
			return k.failed(ctx, remote, a, in, k.mixedUp(a.cfg.Name, other))
		}
		return k.keep(ctx, remote, a, in, answer)
	case errors.Is(err, sdk.ErrConnection):
		k.tell(a, acct.Lost{})
		k.keepLock(a)
		return fmt.Errorf("account %s, attempt %s: %w", a.cfg.Name, in.Attempt, err)
	default:
		return k.failed(ctx, remote, a, in, err)
	}
}

func (k *Keeper) call(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent) (sdk.Answer, error) {
	if a.desk().unfreed != "" && a.desk().unfreed != in.Attempt {
		k.free(ctx, remote, a, a.desk().unfreed) // its slot would block this attempt
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout+answerMargin)
	defer cancel()
	id := sdk.Attempt{
		ID: in.Attempt, Version: in.Version, Fingerprint: in.Fingerprint,
		Deadline: time.Now().Add(a.cfg.Timeout), Spool: in.Spool,
	}
	k.lend(remote, a, id.ID)
	if in.Kind == spool.KindExchange {
		req := sdk.ExchangeRequest{Attempt: id, Account: a.cfg.Account}
		if a.exchange != nil { // otherwise the answer is in the spool
			req.Code, req.CodeVerifier = a.exchange.code, a.exchange.verifier
		}
		return remote.ExchangeAnswer(ctx, req)
	}
	return remote.RefreshAnswer(ctx, sdk.RefreshRequest{Attempt: id, Account: a.cfg.Account, Token: a.rec().Token})
}

// keep makes the new token durable and, only then, known.
func (k *Keeper) keep(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent, answer sdk.Answer) error {
	if candidate := k.candidate(a, in, answer.Token); candidate != nil {
		return k.another(ctx, remote, a, in, candidate)
	}
	half := isHalf(answer.Token)
	if half && k.nothingNew(a, in, answer.Token) {
		return k.failed(ctx, remote, a, in, errNothingNew(a))
	}
	next := k.successor(a, in, answer)
	rec := next.record
	switch err := k.cfg.Store.Commit(ctx, rec); {
	case errors.Is(err, store.ErrConflict):
		return k.conflicting(ctx, remote, a, in, rec, err)
	case err != nil:
		if !a.state().IsAnswered() && !half {
			k.bringToShared(a, in, answer, rec) // or bots would use the refresh token again that is spent
		}
		k.hold(ctx, a, rec)
		return k.diskTrouble(a, fmt.Errorf("store the new token, which the provider's spool still holds: %w", err))
	}
	crashpoint.Here("refresh: the token is committed")
	k.tell(a, acct.Stored{Record: rec})
	k.facts.End(event.DiskTrouble, a.cfg.Name)
	if half {
		k.keptHalf(a, rec, in, answer)
		k.free(ctx, remote, a, in.Attempt)
		return nil
	}
	err := k.hand(a, in, answer, next)
	crashpoint.Here("refresh: about to settle")
	k.free(ctx, remote, a, in.Attempt)
	crashpoint.Here("refresh: settled")
	return err
}

// hand plans an account that has a new token, and hands that to everybody who
// waits for it; the error is that of one that was dead when it came.
func (k *Keeper) hand(a *leased, in store.Intent, answer sdk.Answer, next success) error {
	rec := next.record
	k.mu.Lock()
	due := k.plan(a)
	if next.dead != nil {
		due = k.retry(a.account, schedule.Failure{InRow: rec.Health.Failures})
	}
	k.mu.Unlock()
	k.bringToShared(a, in, answer, rec)
	k.tellTimes(a, rec, next.doubt)
	if next.dead != nil {
		k.tellDead(a, rec, due)
		return next.dead
	}
	k.cfg.Wake(a.cfg.Name)
	if !answer.Recovered {
		k.tellSkew(answer.Token.Skew)
	}
	e := event.Event{
		Type: event.Refreshed, Version: rec.Version, Attempt: in.Attempt,
		Expiry: rec.Token.Expiry(), Next: due, Message: "token refreshed",
	}
	if in.Kind == spool.KindExchange {
		e.Type, e.Message = event.LoggedIn, "logged in"
	}
	if answer.Recovered {
		e.Message += ", from an answer that was waiting in the spool"
	}
	level := slog.LevelInfo
	if answer.Token.Rescued != "" {
		level = slog.LevelWarn
		e.Message += ", though " + answer.Token.Rescued
	}
	k.publish(level, a.cfg.Name, e)
	if answer.SpoolFault != "" {
		k.trouble(slog.LevelError, a.cfg.Name, event.Event{
			Type: event.DiskTrouble, Attempt: in.Attempt,
			Message: "the provider could not spool the broker's answer: " + answer.SpoolFault +
				". The token is stored; check the disk of the state directory",
		})
	}
	return nil
}
