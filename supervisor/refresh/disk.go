package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what is done while the disk of the store, or of the spool, takes
// nothing.

// hold serves a token from memory that could not be stored. It is durable all
// the same, in the provider's spool, from where the attempt is resumed.
func (k *Keeper) hold(ctx context.Context, a *leased, rec store.Record) {
	if a.state().IsAnswered() {
		return
	}
	if err := k.cfg.Store.Hold(ctx, rec); err != nil {
		k.cfg.Log.Warn("the token that could not be stored can't be served from memory either",
			"provider", k.cfg.Provider, "account", a.cfg.Name, "error", err)
		k.tell(a, acct.NotStored{})
		return
	}
	k.tell(a, acct.NotStored{Next: &rec})
	k.cfg.Wake(a.cfg.Name)
}

// free gives the spool slot of an attempt back. A failure does no harm at once:
// before its next attempt the account tries again, and the next generation
// sees that this one is over.
func (k *Keeper) free(ctx context.Context, remote *sdk.Remote, a *leased, attempt string) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	a.desk().unfreed = ""
	if err := remote.Settle(ctx, attempt); err != nil {
		a.desk().unfreed = attempt
		k.cfg.Log.Debug("the spool slot could not be freed yet",
			"provider", k.cfg.Provider, "account", a.cfg.Name, "attempt", attempt, "error", err)
	}
}

// keepHeld stores what an attempt brought of which the spool has lost the answer,
// and which is in memory still.
func (k *Keeper) keepHeld(ctx context.Context, remote *sdk.Remote, a *leased, in store.Intent) error {
	k.tell(a, acct.Calls{Intent: in})
	held := a.state().Held()
	t := held.Token
	if held.Health.Halves > 0 { // its access token is that of the version before
		t.AccessToken = sdk.Secret{}
	}
	return k.keep(ctx, remote, a, in, sdk.Answer{Token: t, Recovered: true})
}

// diskTrouble tells and plans another try.
func (k *Keeper) diskTrouble(a *leased, err error) error {
	if errors.Is(err, store.ErrConflict) { // a write before this one was taken, though it was said not to be
		return k.notAnnounced(a, err)
	}
	return k.notTaken(a, acct.NotEnded{}, err)
}

// notAnnounced is diskTrouble where it is not known what is announced: at the
// account's next turn that is read again, and nothing is sent before.
func (k *Keeper) notAnnounced(a *leased, err error) error {
	return k.notTaken(a, acct.NotAnnounced{}, err)
}

func (k *Keeper) notTaken(a *leased, e acct.Event, err error) error {
	k.mu.Lock()
	k.step(a, e)
	k.putOff(a.account, 3, promise.DiskAway, err)
	k.mu.Unlock()
	k.trouble(slog.LevelError, a.cfg.Name, event.Event{
		Type:    event.DiskTrouble,
		Message: err.Error() + ". Check the disk of the state directory; it is tried again",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}
