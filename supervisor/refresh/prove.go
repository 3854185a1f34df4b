package refresh

import (
	"fmt"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// prove makes sure, before the attempt is announced, that the shared file can
// be replaced: a token that is spent while its successor can't be written
// leaves the other programs with a dead one. If it can't, nothing is spent, and
// it is tried again with growing pauses.
func (k *Keeper) prove(a *leased) error {
	if a.cfg.Shared == nil || !a.locked {
		return nil
	}
	err := a.cfg.Shared.Prove()
	if err == nil {
		a.desk().unproved = 0
		return nil
	}
	a.desk().unproved++
	k.mu.Lock()
	k.step(a, acct.Failed{Kind: sdk.KindNotSent, Error: err.Error(), At: k.clock.Now().Wall})
	next := k.retry(a.account, schedule.Failure{InRow: a.desk().unproved})
	a.pauseFor(promise.DiskAway, err.Error())
	a.promise(next)
	k.mu.Unlock()
	k.trouble(slog.LevelError, a.cfg.Name, event.Event{
		Type: event.DiskTrouble, Kind: string(sdk.KindNotSent), Expiry: a.rec().Token.Expiry(), Next: next,
		Message: err.Error() + ". The refresh token was not used, because the other programs would be left with a dead one. It is tried again",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

// proveForLogin is prove for a code, which a person has just got and which
// dies within seconds: it is spent in any case. BeginLogin has asked whether
// the file can be replaced.
func (k *Keeper) proveForLogin(a *leased) {
	if a.cfg.Shared == nil || !a.locked {
		return
	}
	if err := a.cfg.Shared.Prove(); err != nil {
		k.cfg.Log.Warn("the token of this login may not reach the shared file",
			"provider", k.cfg.Provider, "account", a.cfg.Name, "error", err)
	}
}

// askShared tells at the start of a generation, and so long before the token
// would be needed, of every shared file that can't be replaced.
func (k *Keeper) askShared() {
	for _, a := range k.sharing {
		err := a.cfg.Shared.Replaceable()
		if err == nil {
			continue
		}
		k.trouble(slog.LevelError, a.cfg.Name, event.Event{
			Type:    event.DiskTrouble,
			Message: err.Error() + ". Until that is put right, this account is not refreshed",
		})
	}
}
