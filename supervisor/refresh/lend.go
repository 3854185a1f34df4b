package refresh

import (
	"errors"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// lend lets the provider hold the shared file's lock for the attempt, so that
// our death while the request is on its way lets no other program use the
// refresh token a second time. If that can't be had, the attempt is made all the
// same.
func (k *Keeper) lend(remote *sdk.Remote, a *account, attempt string) {
	if !a.locked {
		return
	}
	err := a.cfg.Shared.Lend(func(fd int) error { return remote.LendLock(attempt, fd) })
	if err != nil && !errors.Is(err, lockloan.ErrNotTaken) {
		k.cfg.Log.Warn("the shared file's lock would not outlive the death of this process during the attempt",
			"provider", k.cfg.Provider, "account", a.cfg.Name, "attempt", attempt, "error", err)
	}
}
