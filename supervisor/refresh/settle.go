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

// all brings every attempt to an end that an earlier generation, or an
// earlier supervisor, left open, before anything new is sent.
func (k settling) all(ctx context.Context) error {
	// Like an attempt, settling is not cancelled half-way.
	entries, err := k.unsettled(ctx)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	found := k.ofOurs(ctx, entries)
	if len(found.entries) > 0 {
		k.ahead.peeks.all(false) // they find out which shared file's disk does not answer before its lock is waited for long
	}
	for _, idle := range k.sharersLast() {
		a, err := idle.claim(ctx)
		if err != nil {
			return err
		}
		a.remote = k.through
		err = settler{a}.settleAll(ctx, found)
		if !errors.Is(err, sdk.ErrConnection) {
			if !sharing.Silent(a.share) { // otherwise the file still holds what is spent: the lock is kept as long as it was to be
				a.share.Forgo()
			}
			if a.desk().unreadable == "" { // otherwise its answer waits for another build of the provider
				k.open.Settled(a.cfg.Name)
			}
		}
		lost := errors.Is(err, sdk.ErrConnection)
		if err != nil && !lost {
			settler{a}.stillUnsettled(err)
		}
		a.release()
		if lost {
			return err
		}
	}
	return nil
}

// sharersLast are the accounts, those with a shared file behind the others: its lock may
// be another program's for a while.
func (k settling) sharersLast() []*account {
	var sharers, others []*account
	for _, a := range k.order {
		if a.share != nil {
			sharers = append(sharers, a)
		} else {
			others = append(others, a)
		}
	}
	return append(others, sharers...)
}

// settler is an account whose open attempts are settled by what the spool holds of them.
type settler struct{ *leased }

// stillUnsettled tells of an account that could not be settled, or whose attempt
// has failed, and has it settled at its next turn if nothing else is planned.
func (a settler) stillUnsettled(err error) {
	pause := schedule.Failure{InRow: 3}
	if errors.Is(err, sdk.ErrUnimplemented) { // which the next process can, if one
		pause.InRow = a.cfg.MaxFailures + 20
	} else {
		a.Log().Info("the attempt that the start before has left open did not end well", "error", err)
	}
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if a.step(acct.NotSettled{Disk: errors.Is(err, store.ErrDisk)}) == acct.BackOff {
		delayed(a).retry(pause)
	}
}

// settleAgain settles the account as the start of a generation does, if the
// disk kept it from that then, or if it is not known what is announced.
func (a settler) settleAgain(ctx context.Context) (settled bool, err error) {
	if a.tell(acct.Due{}) != acct.Compare {
		return false, nil
	}
	entries, err := a.keeper.spool.read(ctx, a.keeper.cfg.Provider, a.remote, a.keeper.clock)
	if err != nil {
		return true, a.diskTrouble(err)
	}
	a.reread(ctx)
	if err = a.settleAll(ctx, settling{a.keeper, a.remote}.ofOurs(ctx, entries)); err != nil {
		a.stillUnsettled(err)
	}
	return true, err
}

// reread goes on with the record that the store has, if it has taken another than is known
// here: it did not say so, or another keeper has stored it.
func (a settler) reread(ctx context.Context) {
	rec, err := a.load(ctx)
	if err != nil || rec.Held || a.state().Held() != nil || rec.Version <= a.rec().Version {
		return
	}
	a.tell(acct.Reread{Record: rec})
	a.keeper.cfg.Wake(a.cfg.Name)
}

// clear frees the slot of an attempt that is over. One that the provider can't
// free is left for the account's next attempt, before which it is tried again;
// the error is that of a lost connection.
func (a settler) clear(ctx context.Context, attempt string) error {
	err := a.remote.Settle(ctx, attempt)
	if err == nil || errors.Is(err, sdk.ErrConnection) {
		return err
	}
	a.desk().unfreed = append(a.desk().unfreed, attempt)
	a.Log().Warn("the provider can't free the spool slot of an attempt that is over; it is asked again before the next one", "attempt", attempt, "error", err)
	return nil
}

// settleAll settles everything that the spool holds of an account: the attempt
// that is announced first, and the one over which that stands; then those that the
// store does not know of. A slot that was settled may come back when the machine
// goes down before its clearing is on the disk, an old grant's refresh may be heard
// out while a login has taken its place, and the store may be of another day than
// the spool.
func (a settler) settleAll(ctx context.Context, all spooled) error {
	in, intended, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	}
	if all.doubts(&in) { // what the spool says of it, and what it does not, proves nothing
		err = a.keeper.cfg.Store.Replace(ctx, in.Attempt, in)
	}
	a.found(in, intended)
	if err != nil {
		return fmt.Errorf("note that the spool of account %s proves nothing of its open attempt: %w", a.cfg.Name, err)
	}
	var errs []error
	settled := func(err error) (lost bool) {
		errs = append(errs, err) // an attempt that failed is settled too
		return errors.Is(err, sdk.ErrConnection)
	}
	a.laterOver() // it is among what is settled now
	a.slots, a.desk().unreadable = append([]spool.Entry{}, all.entries[a.cfg.Name]...), ""
	defer func() { a.slots = nil }()
	before := "" // it is settled when the one over it has given it back
	if intended && in.Before != nil {
		before = in.Before.Attempt
	}
	e, isSpooled := a.slot(in.Attempt)
	if intended && isSpooled && settled(sharer(a).settleShared(ctx, func() error { return a.attempt(in).settleSpooled(ctx, e) })) {
		return errors.Join(errs...)
	}
	for _, e := range a.slots {
		if intended && (e.Attempt == in.Attempt || e.Attempt == before) {
			continue
		}
		if settled((stray{a.leased, e}).settle(ctx)) {
			return errors.Join(errs...)
		}
	}
	if !(intended && isSpooled) && settled(a.settleUnspooled(ctx)) {
		return errors.Join(errs...)
	}
	if e, ok := a.slot(before); ok && before != "" {
		settled(a.settleOvertaken(ctx, e))
	}
	return errors.Join(errs...)
}

// slot is what the spool says of an attempt, while the account is settled.
func (a *leased) slot(attempt string) (spool.Entry, bool) {
	for _, e := range a.slots {
		if e.Attempt == attempt {
			return e, true
		}
	}
	return spool.Entry{}, false
}

// settleOvertaken settles an attempt in whose place a login has been announced,
// unless it stands again: then it was settled when the login gave it back, or is
// not to be touched before the login is over.
func (a settler) settleOvertaken(ctx context.Context, e spool.Entry) error {
	in, stands, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	switch {
	case err != nil:
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	case stands && (in.Attempt == e.Attempt || in.Before != nil && in.Before.Attempt == e.Attempt):
		return nil
	}
	return stray{a.leased, e}.settle(ctx)
}

// settleUnspooled settles the attempt that is announced, of which the spool knows
// nothing, if there is one.
func (a settler) settleUnspooled(ctx context.Context) error {
	in, intended, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	}
	a.found(in, intended)
	if !intended {
		return nil
	}
	return a.attempt(in).settleIntent(ctx)
}

// found says to the account's state what the store has of its attempt.
func (a *leased) found(in store.Intent, intended bool) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if intended {
		a.step(acct.Found{Intent: in})
	} else if a.step(acct.NotFound{}) == acct.Plan {
		a.replan()
	}
}

func (a attempt) proof() proof {
	return prove(a.in, a.keeper.spool.id(), a.keeper.cfg.Boot, a.keeper.clock.Now().Wall, a.cfg.Timeout+answerMargin)
}

// settleIntent ends an intent of which the spool knows nothing.
func (a attempt) settleIntent(ctx context.Context) error {
	proof := a.proof()
	switch {
	case a.state().Held() != nil:
		return a.keepHeld(ctx)
	case spool.IsLogin(a.in.Kind):
		return a.endCutLogin(ctx, exchangeCut(proof.same))
	case a.in.IsMarked():
		a.tell(acct.Marked{Intent: a.in})
		a.tellUnknown()
		if a.in.Replays != "" && !proof.same {
			return a.awaitLingering(ctx, proof)
		}
		return a.again()
	case proof.same:
		return a.notSent(ctx)
	default:
		return a.awaitLingering(ctx, proof)
	}
}

// tellUnknown says that the outcome of an attempt is as unknown as it was. Of one that
// stands because the client was refused the failure is counted, unless it was in this run:
// what the store has is of an attempt before.
func (a attempt) tellUnknown() {
	if a.in.ClientRefused != "" {
		a.keeper.mu.Lock()
		at, _ := unknown{a.leased}.replay()
		a.keeper.mu.Unlock()
		if at.IsZero() && a.rec().Health.LastFailure.Before(a.in.At) {
			a.countFailure(sdk.KindInvalidClient, secretRefused{a}.standing())
		}
		return
	}
	a.Publish(slog.LevelWarn, event.Event{
		Type: event.Ambiguous, Attempt: a.in.Attempt, Kind: string(sdk.KindAmbiguous),
		Message: "the outcome of an attempt begun " + a.in.AmbiguousSince.Format(time.RFC3339) +
			" is still unknown. " + unknown{a.leased}.planText(),
	})
}

// settleSpooled ends the intended attempt by what its slot holds.
func (a attempt) settleSpooled(ctx context.Context, e spool.Entry) error {
	proof := a.proof()
	switch {
	case e.Progress == spool.Answered:
		return a.run(ctx)
	case a.state().Held() != nil:
		return a.keepHeld(ctx)
	case spool.IsLogin(a.in.Kind):
		return a.endCutLogin(ctx, exchangeCut(e.Progress == spool.Ready && proof.same))
	case !proof.same:
		if err := a.awaitLingering(ctx, proof); err != nil {
			return err
		}
	case e.Progress == spool.Ready:
		if err := a.notSent(ctx); err != nil {
			return err
		}
	default:
		if err := (lost{a}).cutOff(ctx, "the provider's process died after the request was sent, "+e.BegunAt.Format(time.RFC3339)); err != nil {
			return err
		}
	}
	if a.in.ClientRefused != "" {
		a.tellUnknown()
	}
	return settler{a.leased}.clear(ctx, e.Attempt)
}

// endCutLogin ends a login that a process's death cut off, and then settles the
// attempt over which it stood.
func (a attempt) endCutLogin(ctx context.Context, cause error) error {
	err := exchange{a}.failed(ctx, cause)
	return errors.Join(err, settler{a.leased}.settleGivenBack(ctx, a.in.Before))
}

// settleGivenBack settles an intent that was given back, if it was, by what the
// spool says of it.
func (a settler) settleGivenBack(ctx context.Context, before *store.Intent) error {
	if before == nil || before.Attempt == a.underWay { // that one is being heard out
		return nil
	}
	in, stands, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil || !stands || in.Attempt != before.Attempt {
		return err
	}
	a.found(in, true)
	if a.slots == nil && !in.IsMarked() { // its turn reads in the spool what became of it
		a.tell(acct.NotSettled{})
		return a.again()
	}
	if e, ok := a.slot(in.Attempt); ok {
		return sharer(a).settleShared(ctx, func() error { return a.attempt(in).settleSpooled(ctx, e) })
	}
	return a.attempt(in).settleIntent(ctx)
}

// exchangeCut is the failure of a login that a process's death cut off.
func exchangeCut(notSent bool) error {
	if notSent {
		return fmt.Errorf("%w: the process ended before", sdk.ErrNotSent)
	}
	return fmt.Errorf("%w: the process ended meanwhile", sdk.ErrAmbiguous)
}

// notSent ends an intent whose request never left: the refresh token is as
// good as before.
func (a attempt) notSent(ctx context.Context) error {
	if err := a.judged(ctx, sdk.ErrNotSent); err != nil {
		return err
	}
	a, err := secretRefused{a}.unsent(ctx)
	if err != nil {
		return err
	}
	if a.in.Replays == "" { // otherwise nothing is known of what it replays
		if err := a.storeEnd(ctx, a.in.Attempt, a.rec().Basis(), a.rec().Health); err != nil {
			return a.diskTrouble(fmt.Errorf("end an attempt that was not sent: %w", err))
		}
		crashpoint.Here("refresh: the attempt is abandoned")
	}
	secretRefused{a}.ended()
	return a.again()
}

// again makes the account due at once.
func (a *leased) again() error {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	now := a.keeper.clock.Now()
	a.plan.dueAt(now.Wall, now)
	return nil
}
