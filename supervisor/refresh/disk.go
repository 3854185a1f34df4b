package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what is done while the disk of the store, or of the spool, takes
// nothing.

// hold serves a token from memory that could not be stored. It is durable all
// the same, in the provider's spool, from where the attempt is resumed.
func (a answered) hold(ctx context.Context, rec store.Record) {
	if a.state().IsAnswered() {
		return
	}
	if err := a.keeper.cfg.Store.Hold(ctx, rec); err != nil {
		a.Log().Warn("the token that could not be stored can't be served from memory either", "error", err)
		a.tell(acct.NotStored{})
		return
	}
	a.tell(acct.NotStored{Next: &rec})
	a.keeper.cfg.Wake(a.cfg.Name)
}

// free gives the spool slots of attempts that are over back, and those that could not
// be given back before. A failure does no harm at once:
// before its next attempt the account tries again, and the next generation
// sees that this one is over.
func (a *leased) free(ctx context.Context, over ...string) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	over = append(a.desk().unfreed, over...)
	a.desk().unfreed = nil
	for _, attempt := range over {
		if err := a.remote.Settle(ctx, attempt); err != nil {
			a.desk().unfreed = append(a.desk().unfreed, attempt)
			a.Log().Debug("the spool slot could not be freed yet", "attempt", attempt, "error", err)
		}
	}
}

// keepHeld stores what an attempt brought of which the spool has lost the answer,
// and which is in memory still.
func (a attempt) keepHeld(ctx context.Context) error {
	a.tell(acct.Calls{Intent: a.in})
	held := a.state().Held()
	t := held.Token
	if held.Health.Halves > 0 { // its access token is that of the version before
		t.AccessToken = sdk.Secret{}
	}
	return answered{a, believed{Answer: sdk.Answer{Token: t, Recovered: true}}}.keep(ctx)
}

// storeEnd makes it durable that an attempt is over, and the health of the version that
// stands then. What was known of a disk that took nothing is over with that.
func (a *leased) storeEnd(ctx context.Context, attempt string, at store.Basis, h store.Health) error {
	if err := a.keeper.cfg.Store.Abandon(ctx, a.cfg.Name, attempt, at, h); err != nil {
		return err
	}
	a.Over(event.DiskTrouble)
	return nil
}

// diskTrouble tells and plans another try.
func (a *leased) diskTrouble(err error) error {
	if errors.Is(err, store.ErrConflict) { // a write before this one was taken, though it was said not to be
		return a.notAnnounced(err)
	}
	return a.notTaken(acct.NotEnded{}, err)
}

// notAnnounced is diskTrouble where it is not known what is announced: at the
// account's next turn that is read again, and nothing is sent before.
func (a *leased) notAnnounced(err error) error {
	return a.notTaken(acct.NotAnnounced{}, err)
}

func (a *leased) notTaken(e acct.Event, err error) error {
	a.keeper.mu.Lock()
	a.step(e)
	delayed{a}.retryUnasked(3, promise.DiskAway, err)
	a.keeper.mu.Unlock()
	a.Trouble(slog.LevelError, event.Event{
		Type:    event.DiskTrouble,
		Message: err.Error() + ". Check the disk of the state directory; it is tried again",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}
