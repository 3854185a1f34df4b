package refresh

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// ErrUntrusted: somebody who is not trusted can change a file that steers the
// provider.
var ErrUntrusted = errors.New("nothing is sent through the provider")

// This file holds what is asked before a secret goes to a provider that says of a
// setting that it names a file which steers it: who can change that file. It is asked
// where an attempt begins and never in its middle: what was sent is heard out, and
// what waits in the spool is taken.

// steered refuses with [ErrUntrusted] what a setting of the account names, by a look
// that counts since then (see [looks.at]), or says with [ErrNotLooked] that there is
// none.
func (a *account) steered(since time.Time) error {
	for _, name := range a.keeper.nature().steering {
		err := a.keeper.looks.at(a.cfg.Settings[name], since)
		switch {
		case errors.Is(err, ErrNotLooked):
			return fmt.Errorf("nothing is sent through the provider: its setting %s was not looked at in time: %w", name, err)
		case err != nil:
			return fmt.Errorf("%w: its setting %s is refused: %w", ErrUntrusted, name, err)
		}
	}
	return nil
}

// mayGo keeps an attempt from being announced while a file that steers the provider
// is refused, or its disk does not answer: the refresh token is not used, and it is
// tried again with growing pauses.
func (a *round) mayGo() error {
	err := a.steered(time.Now())
	if err == nil {
		a.Over(event.Untrusted)
		return nil
	}
	why := promise.Untrusted
	if errors.Is(err, ErrNotLooked) {
		why = promise.DiskAway
	}
	a.keeper.mu.Lock()
	a.step(acct.Failed{Kind: sdk.KindNotSent, Error: err.Error(), At: a.keeper.clock.Now().Wall})
	delayed{a.leased}.retryUnasked(a.rec().Health.Failures, why, err)
	a.keeper.mu.Unlock()
	if why == promise.Untrusted {
		a.tellUntrusted(err)
	}
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

func (a *account) tellUntrusted(err error) {
	a.Trouble(slog.LevelError, event.Event{
		Type: event.Untrusted, Kind: string(sdk.KindNotSent), Expiry: a.rec().Token.Expiry(),
		Message: err.Error() + ". The refresh token is not used before that is put right; it is tried again",
	})
}
