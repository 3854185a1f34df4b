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

// settle brings every attempt to an end that an earlier generation, or an
// earlier supervisor, left open, before anything new is sent.
func (k *Keeper) settle(ctx context.Context, remote *sdk.Remote) error {
	// Like an attempt, settling is not cancelled half-way.
	entries, err := k.unsettled(ctx, remote)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	found := k.ofOurs(ctx, entries)
	for _, idle := range k.order {
		a, err := k.claim(ctx, idle)
		if err != nil {
			return err
		}
		err = k.settleAll(ctx, remote, a, found)
		if !errors.Is(err, sdk.ErrConnection) {
			k.forgo(a.account)
		}
		lost := errors.Is(err, sdk.ErrConnection)
		if err != nil && !lost {
			k.stillUnsettled(a, err)
		}
		k.release(a)
		if lost {
			return err
		}
	}
	return nil
}

// stillUnsettled tells of an account that could not be settled, or whose attempt
// has failed, and has it settled at its next turn if nothing else is planned.
func (k *Keeper) stillUnsettled(a *leased, err error) {
	k.cfg.Log.Info("the attempt that the start before has left open did not end well",
		"provider", k.cfg.Provider, "account", a.cfg.Name, "error", err)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.step(a, acct.NotSettled{Disk: errors.Is(err, store.ErrDisk)}) == acct.BackOff {
		k.retry(a.account, schedule.Failure{InRow: 3})
	}
}

// settleAgain settles the account as the start of a generation does, if the
// disk kept it from that then, or if it is not known what is announced.
func (k *Keeper) settleAgain(ctx context.Context, remote *sdk.Remote, a *leased) (settled bool, err error) {
	if k.tell(a, acct.Due{}) != acct.Compare {
		return false, nil
	}
	entries, err := k.readSpool(ctx, remote)
	if err != nil {
		return true, k.diskTrouble(a, err)
	}
	if err = k.settleAll(ctx, remote, a, k.ofOurs(ctx, entries)); err != nil {
		k.stillUnsettled(a, err)
	}
	return true, err
}

// clear frees the slot of an attempt that is over. One that the provider can't
// free is left for the account's next attempt, before which it is tried again;
// the error is that of a lost connection.
func (k *Keeper) clear(ctx context.Context, remote *sdk.Remote, a *leased, attempt string) error {
	err := remote.Settle(ctx, attempt)
	if err == nil || errors.Is(err, sdk.ErrConnection) {
		return err
	}
	a.desk().unfreed = attempt
	k.cfg.Log.Warn("the provider can't free the spool slot of an attempt that is over; it is asked again before the next one",
		"provider", k.cfg.Provider, "account", a.cfg.Name, "attempt", attempt, "error", err)
	return nil
}

// settleAll settles everything that the spool holds of an account: the attempt
// that is announced first, then those that the store does not know of. That is one
// attempt, because the next can't begin before it is settled; but a slot that
// was settled may come back when the machine goes down before its clearing is
// on the disk, and the store may be of another day than the spool.
func (k *Keeper) settleAll(ctx context.Context, remote *sdk.Remote, a *leased, all spooled) error {
	in, intended, err := k.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	}
	if all.mixedUp[in.Attempt] && in.Spool != "" {
		in.Spool = "" // what the spool says of it, and what it does not, proves nothing
		err = k.cfg.Store.Replace(ctx, in.Attempt, in)
	}
	k.found(a, in, intended)
	if err != nil {
		return fmt.Errorf("note that the spool of account %s proves nothing of its open attempt: %w", a.cfg.Name, err)
	}
	var errs []error
	settled := func(err error) (lost bool) {
		errs = append(errs, err) // an attempt that failed is settled too
		return errors.Is(err, sdk.ErrConnection)
	}
	entries, spooled := all.entries[a.cfg.Name], false
	for _, e := range entries {
		if intended && e.Attempt == in.Attempt {
			spooled = true
			if settled(k.settleShared(ctx, a, func() error { return k.settleSpooled(ctx, remote, a, in, e) })) {
				return errors.Join(errs...)
			}
		}
	}
	for _, e := range entries {
		if intended && e.Attempt == in.Attempt {
			continue
		}
		if settled(k.settleStray(ctx, remote, a, e)) {
			return errors.Join(errs...)
		}
	}
	if !spooled {
		settled(k.settleUnspooled(ctx, remote, a))
	}
	return errors.Join(errs...)
}

// settleUnspooled settles the attempt that is announced, of which the spool knows
// nothing, if there is one.
func (k *Keeper) settleUnspooled(ctx context.Context, remote *sdk.Remote, a *leased) error {
	in, intended, err := k.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("read the open attempt of account %s: %w", a.cfg.Name, err)
	}
	k.found(a, in, intended)
	if !intended {
		return nil
	}
	return k.settleIntent(ctx, remote, a, in)
}

// found says to the account's state what the store has of its attempt.
func (k *Keeper) found(a *leased, in store.Intent, intended bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if intended {
		k.step(a, acct.Found{Intent: in})
	} else if k.step(a, acct.NotFound{}) == acct.Plan {
		k.plan(a)
	}
}

// settleIntent ends an intent of which the spool knows nothing.
func (k *Keeper) settleIntent(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent) error {
	proof := k.proofOf(a.account, in)
	switch {
	case a.state().Held() != nil:
		return k.keepHeld(ctx, remote, a, in)
	case in.Kind == spool.KindExchange:
		return k.endCutLogin(ctx, remote, a, in, exchangeCut(proof.same))
	case isMarked(in):
		k.tell(a, acct.Marked{Intent: in})
		k.publish(slog.LevelWarn, a.cfg.Name, event.Event{
			Type: event.Ambiguous, Attempt: in.Attempt, Kind: string(sdk.KindAmbiguous),
			Message: "the outcome of an attempt begun " + in.AmbiguousSince.Format(time.RFC3339) +
				" is still unknown. " + k.replayPlan(a),
		})
		if in.Replays != "" && !proof.same {
			return k.awaitLingering(ctx, a, in, proof)
		}
		return k.again(a)
	case proof.same:
		return k.notSent(ctx, a, in)
	default:
		return k.awaitLingering(ctx, a, in, proof)
	}
}

// settleSpooled ends the intended attempt by what its slot holds.
func (k *Keeper) settleSpooled(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent, e spool.Entry) error {
	proof := k.proofOf(a.account, in)
	switch {
	case e.Progress == spool.Answered:
		return k.attempt(ctx, remote, a, in)
	case a.state().Held() != nil:
		return k.keepHeld(ctx, remote, a, in)
	case in.Kind == spool.KindExchange:
		return k.endCutLogin(ctx, remote, a, in, exchangeCut(e.Progress == spool.Ready && proof.same))
	case !proof.same:
		if err := k.awaitLingering(ctx, a, in, proof); err != nil {
			return err
		}
	case e.Progress == spool.Ready:
		if err := k.notSent(ctx, a, in); err != nil {
			return err
		}
	default:
		why := "the provider's process died after the request was sent, " + e.BegunAt.Format(time.RFC3339)
		if err := k.markAmbiguous(ctx, a, in, why); err != nil {
			return err
		}
		if err := k.again(a); err != nil {
			return err
		}
	}
	return k.clear(ctx, remote, a, e.Attempt)
}

// endCutLogin ends a login that a process's death cut off, and then settles the
// attempt over which it stood.
func (k *Keeper) endCutLogin(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent, cause error) error {
	err := k.exchangeFailed(ctx, remote, a, in, cause)
	return errors.Join(err, k.settleGivenBack(ctx, remote, a, in.Before))
}

// settleGivenBack settles an intent that was given back, if it was.
func (k *Keeper) settleGivenBack(ctx context.Context, remote *sdk.Remote, a *leased, before *store.Intent) error {
	if before == nil {
		return nil
	}
	in, stands, err := k.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil || !stands || in.Attempt != before.Attempt {
		return err
	}
	k.found(a, in, true)
	return k.settleIntent(ctx, remote, a, in)
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
func (k *Keeper) notSent(ctx context.Context, a *leased, in store.Intent) error {
	if in.Replays == "" { // otherwise nothing is known of what it replays
		if err := k.cfg.Store.Abandon(ctx, a.cfg.Name, in.Attempt, a.rec().Health); err != nil {
			return k.diskTrouble(a, fmt.Errorf("end an attempt that was not sent: %w", err))
		}
		crashpoint.Here("refresh: the attempt is abandoned")
	}
	k.tell(a, acct.Ended{})
	return k.again(a)
}

// again makes the account due at once.
func (k *Keeper) again(a *leased) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock.Now()
	k.dueAt(a.account, now.Wall, now)
	return nil
}
