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
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds the way of a token: an account has its turn, looks whether
// somebody has a newer one, announces an attempt, makes it, makes its outcome
// durable, and only then hands it on. What is to be done in which state is said
// by package account; outcome.go has the ways on which no token comes, and
// settle.go how each is gone on with after a death.

// run is one attempt for one account, whose lease is taken. Once the intent is
// committed nothing cancels it: ctx gives values only.
func (a *round) run(ctx context.Context) error {
	a.ending = ctx
	ctx = context.WithoutCancel(ctx)
	lapsed := a.lapse(ctx)
	settled, err := settler{a.leased}.settleAgain(ctx)
	if err == nil && a.desk().late != nil {
		settled, err = true, settler{a.leased}.settleLate(ctx)
	}
	switch {
	case err != nil:
	case (settled || lapsed) && a.comesLater():
		err = errAnswersNobody
	default:
		a.askAhead(ctx)
		err = sharer{a.leased}.withShared(ctx, a.deed(), func() error { return a.turn(ctx, true) })
	}
	a.finish(err)
	return err
}

// comesLater says whether the account, which was settled in its turn, or whose pause was
// over, has its next one at another time, and nobody waits for a refresh.
func (a *round) comesLater() bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	due, planned := a.plan.due()
	return planned && due.After(a.keeper.clock.Now().Wall) && !a.wish.asked()
}

// turn is what happens under the lock: adopt what is newer, and only if
// nothing is, refresh. A shared file that could not be read is read once more before our
// token is sent past it, and what has come to light then has a turn of its own, the last.
func (a *round) turn(ctx context.Context, first bool) error {
	switch a.tell(acct.Due{}) {
	case acct.Repeat:
		in, _ := a.state().Unfinished()
		return a.make(ctx, in)
	case acct.Look:
	default: // whoever has asked waits until it is settled
		return errAnswersNobody
	}
	adopted, err := sharer{a.leased}.adopt(ctx)
	if errors.Is(err, errAsked) && a.insisted() {
		err = nil
	}
	unseen := errors.Is(err, sharing.ErrUnseen)
	if adopted || err != nil && !unseen {
		a.saw()
		return err
	}
	taken, doubt, failed := finder{a.leased}.consult(ctx, a.ahead)
	if taken {
		a.saw()
		return failed
	}
	if a.lookOnly() {
		return errAnswersNobody
	}
	if err := (unknown{a.leased}).end(ctx); err != nil {
		return err
	}
	if !a.stored() && a.rec().Key == "" {
		return fmt.Errorf("account %s: %w", a.cfg.Name, errNothingShared)
	}
	if err := a.mayBeSent(); err != nil {
		return err
	}
	if send, err := a.spend(); !send {
		return err
	}
	if unseen {
		if err := a.unseen(err); err != nil {
			return err
		}
	}
	if err := a.ready(doubt); err != nil {
		return err
	}
	if unseen && first && a.unread().CanBeRead() {
		return a.turn(ctx, false)
	}
	if unseen {
		a.unread().GoPast()
	}
	in, err := a.intend(ctx)
	if err != nil {
		return err
	}
	return a.make(ctx, in)
}

// ready says why nothing may be sent yet by an account whose refresh token may be.
func (a *round) ready(doubt string) error {
	if err := a.waitInDoubt(doubt); err != nil {
		return err
	}
	if err := a.mayGo(); err != nil {
		return err
	}
	if err := a.mayAsk(); err != nil {
		return err
	}
	if err := a.prove(); err != nil {
		return err
	}
	if a.ending.Err() != nil { // the wait for others took long, and whoever ends the process won't wait so long again
		return errors.Join(a.again(), errEnding)
	}
	return nil
}

// spend says whether the refresh token may be sent now. If not, the account is
// planned anew, and the error is for those who wait.
func (a *round) spend() (bool, error) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	does := a.step(a.wanted())
	if does == acct.Announce {
		return true, nil
	}
	a.replan()
	switch {
	case !a.wish.asked():
		return false, errAnswersNobody
	case does == acct.Rest:
		return false, pausable{a.account}.err()
	case does == acct.Await:
		return false, loginWait{a.account}.err()
	case a.state().Ambiguous() != nil:
		return false, unknown{a.leased}.heldBack()
	}
	return false, a.say.errLoginsOnly()
}

// wanted is what those want who wait for a refresh. The caller holds k.mu.
func (a *leased) wanted() acct.Spend {
	if a.state().Ambiguous() != nil {
		unknown{a}.replay() // by a clock that may have been set back
	}
	s := acct.Spend{Asked: a.wish.asked(), Insisted: a.wish.insisted, Terms: a.outlook().terms()}
	if l := a.keeper.open.At(a.cfg.Name, a.keeper.clock.Now().Wall); l != nil {
		s.Login = l.Until()
	}
	return s
}

// intend commits the announcement of the attempt, which also proves that the
// disk can be written. If it fails the token is not spent.
func (a *round) intend(ctx context.Context) (store.Intent, error) {
	rec, err := a.loadOrNone(ctx)
	if err != nil {
		return store.Intent{}, a.diskTrouble(fmt.Errorf("read the record before a refresh: %w", err))
	}
	a.tell(acct.Reread{Record: rec})
	kind, fingerprint, err := a.begins()
	if err != nil {
		return store.Intent{}, err
	}
	in := store.Intent{
		Account: a.cfg.Name, Provider: a.keeper.cfg.Provider, Attempt: newAttempt(), Kind: kind,
		Version: rec.Version, Grant: rec.Grant, Fingerprint: fingerprint, Secret: presented{a.account}.next(), Secrets: a.secrets.list(),
		At: a.keeper.clock.Now().Wall, Boot: a.keeper.cfg.Boot,
	}
	a.fill(&in)
	standing := a.state().Ambiguous()
	if standing == nil {
		err = a.keeper.cfg.Store.Intend(ctx, in)
	} else {
		replays(&in, *standing, a.secrets.list())
		err = a.keeper.cfg.Store.Replace(ctx, standing.Attempt, in)
	}
	if err != nil {
		return store.Intent{}, a.notAnnounced(fmt.Errorf("announce the attempt, so the %s was not used: %w", spent(kind), err))
	}
	crashpoint.Here("refresh: the intent stands")
	a.tell(acct.Announced{Intent: in})
	return in, nil
}

// attempt makes the call and stores its outcome. Called again with the same
// intent it gets the same answer: that is what recovery is.
func (a attempt) run(ctx context.Context) (err error) {
	defer func(begun time.Time) { a.keeper.took(begun, actOf(a.in.Kind), err) }(time.Now())
	does := a.tell(acct.Calls{Intent: a.in})
	if does == acct.Wait {
		return a.unexpected()
	}
	heard := hearing{a}
	answer, err := heard.hear(ctx, does)
	if heard.overtaken(does) {
		return heard.late(ctx, answer, err)
	}
	if does == acct.Call && sdk.KindOf(err) == sdk.KindNotSent {
		a.in, answer, err = a.callAnew(ctx, err)
	}
	if a.state().Held() != nil && err != nil && !errors.Is(err, sdk.ErrConnection) {
		return a.keepHeld(ctx)
	}
	if errors.Is(err, sdk.ErrUnimplemented) && a.isSpooled() {
		return a.unreadable()
	}
	crashpoint.Here("refresh: the call has returned")
	if !errors.Is(err, sdk.ErrConnection) {
		a.keeper.sawAnswer()
	}
	switch {
	case err == nil:
		if other := a.belongsTo(answer.Token); other != "" {
			return a.failed(ctx, a.say.mixedUp(other))
		}
		return answered{a, answer}.keep(ctx)
	case errors.Is(err, sdk.ErrConnection):
		a.tell(acct.Lost{})
		a.share.Keep()
		return fmt.Errorf("account %s, attempt %s: %w", a.cfg.Name, a.in.Attempt, err)
	default:
		return a.failed(ctx, err)
	}
}

// unexpected is the failure of an attempt that is not to be made as the account
// stands.
func (a attempt) unexpected() error {
	a.keeper.mu.Lock()
	delayed{a.leased}.retry(schedule.Failure{InRow: 3})
	a.keeper.mu.Unlock()
	return fmt.Errorf("account %s: its attempt is not made, because it does not stand announced: this is a defect of Tokenkeeper; please report it", a.cfg.Name)
}

// keep makes the new token durable and, only then, known.
func (a answered) keep(ctx context.Context) error {
	answer := a.answer
	if candidate := a.candidate(answer.Token); candidate != nil {
		return a.another(ctx, candidate)
	}
	half := isHalf(answer.Token)
	if half && a.besideRefusal(answer.Token) {
		return a.keepBesideRefusal(ctx, answer.Token)
	}
	if half && a.nothingNew() {
		return a.failed(ctx, a.errNothingNew())
	}
	next := a.successor()
	rec := next.record
	if spool.IsLogin(a.in.Kind) && a.keeper.cfg.LoggedIn != nil { // a death in between harms nothing: it says of which login
		a.keeper.cfg.LoggedIn(ctx, rec)
	}
	switch err := commit(ctx, a.keeper.cfg.Store, rec); {
	case errors.Is(err, store.ErrConflict):
		return a.conflicting(ctx, rec, err)
	case err != nil:
		if !a.state().IsAnswered() {
			a.bringToShared(rec) // or bots would use the refresh token again that is spent
		}
		a.hold(ctx, rec)
		return a.diskTrouble(fmt.Errorf("store the new token, which the provider's spool still holds: %w", err))
	}
	crashpoint.Here("refresh: the token is committed")
	a.tell(acct.Stored{Record: rec})
	a.keeper.open.Close(a.cfg.Name, a.in.Login, nil)
	a.Over(event.DiskTrouble)
	if half {
		a.keptHalf(next)
		a.free(ctx, a.in.Attempt)
		return nil
	}
	err := a.hand(next)
	crashpoint.Here("refresh: about to settle")
	a.free(ctx, a.in.Attempt)
	crashpoint.Here("refresh: settled")
	return err
}

// hand plans an account that has a new token, and hands that to everybody who
// waits for it; the error is that of one that was dead when it came.
func (a answered) hand(next success) error {
	answer := a.answer
	rec := next.record
	a.keeper.mu.Lock()
	due := a.replan()
	if next.dead != nil {
		due = delayed{a.leased}.retry(schedule.Failure{InRow: rec.Health.Failures})
	}
	a.keeper.mu.Unlock()
	a.endFound(rec)
	a.bringToShared(rec)
	a.tellTimes(rec, next.doubts)
	if next.dead != nil {
		a.tellDead(rec, due)
		return next.dead
	}
	a.keeper.cfg.Wake(a.cfg.Name)
	if !answer.Recovered {
		a.keeper.skew.tell(answer.Token.Skew)
	}
	e := event.Event{
		Type: event.Refreshed, Version: rec.Version, Attempt: a.in.Attempt,
		Expiry: rec.Token.Expiry(), Next: due, Message: "token refreshed",
	}
	switch a.in.Kind {
	case spool.KindExchange, spool.KindLogin:
		e.Type, e.Message = event.LoggedIn, "logged in"
	case spool.KindRenew:
		e.Message = "token renewed"
	case spool.KindMint:
		e.Message = "token minted"
	}
	if answer.Recovered {
		e.Message += ", from an answer that was waiting in the spool"
	}
	level := slog.LevelInfo
	if answer.Token.Rescued != "" {
		level = slog.LevelWarn
		e.Message += ", though " + answer.Token.Rescued
	}
	a.Publish(level, e)
	if answer.SpoolFault != "" {
		a.Trouble(slog.LevelError, event.Event{
			Type: event.DiskTrouble, Attempt: a.in.Attempt,
			Message: "the provider could not spool the broker's answer: " + answer.SpoolFault +
				". The token is stored; check the disk of the state directory",
		})
	}
	return nil
}
