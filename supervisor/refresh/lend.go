package refresh

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// lend lets the provider hold the shared file's lock for the attempt, so that
// our death while the request is on its way lets no other program use the
// refresh token a second time. If that can't be had, the attempt is made all the
// same.
func (k *Keeper) lend(remote *sdk.Remote, a *leased, attempt string) {
	if !a.locked {
		return
	}
	err := a.cfg.Shared.Lend(func(fd int) error { return remote.LendLock(attempt, fd) })
	if err != nil && !errors.Is(err, lockloan.ErrNotTaken) {
		k.cfg.Log.Warn("the shared file's lock would not outlive the death of this process during the attempt",
			"provider", k.cfg.Provider, "account", a.cfg.Name, "attempt", attempt, "error", err)
	}
}

// keptLonger is how much longer than an attempt may take a shared file's lock is
// kept for whoever settles it.
const keptLonger = time.Minute

// keepLock keeps the shared file's lock for the settling of an attempt whose
// process is lost: what the file holds may be spent.
func (k *Keeper) keepLock(a *leased) {
	if a.locked {
		a.cfg.Shared.Keep(a.cfg.Timeout + keptLonger)
	}
}

// collect takes over, for as long as ctx lasts, the locks that a process of an
// earlier supervisor has kept for this one. The returned function waits for its
// end.
func (k *Keeper) collect(ctx context.Context) (end func()) {
	if k.cfg.Bequests == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.cfg.Bequests(ctx, k.inherit)
	}()
	return func() {
		cancel()
		<-done
	}
}

// inherit keeps a lock for the account whose shared file it is of. What is of
// none, any more, is closed, and so no longer in anybody's way.
func (k *Keeper) inherit(lock *os.File) {
	for _, a := range k.accounts {
		if a.cfg.Shared != nil && a.cfg.Shared.Inherit(lock, a.cfg.Timeout+keptLonger) {
			k.cfg.Log.Info("the lock of the shared file was taken over from the start before, in which an attempt was cut off",
				"provider", k.cfg.Provider, "account", a.cfg.Name)
			return
		}
	}
	_ = lock.Close()
}

// forgo gives back a lock that was kept for the settling of the account.
func (k *Keeper) forgo(a *account) {
	if a.cfg.Shared != nil {
		a.cfg.Shared.Forgo()
	}
}
