package refresh

import (
	"context"
	"errors"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds what becomes of an attempt that has failed while the disk
// could not be written: its intent stands, and nothing new can be announced
// before its end is noted.

// unnoted is an attempt that failed and whose end is not durable yet. The
// provider keeps what became of it until it is settled, so the same call brings
// the same verdict, and sends nothing.
type unnoted struct {
	intent  store.Intent
	counted bool // among the failures in a row
	stands  bool // the disk has refused to note it
}

// ends begins the end of an attempt that failed.
func (a *account) ends(in store.Intent) {
	if a.unnoted == nil || a.unnoted.intent.Attempt != in.Attempt {
		a.unnoted = &unnoted{intent: in}
	}
}

// noted ends it: it is durable.
func (a *account) noted(attempt string) {
	if a.unnoted != nil && a.unnoted.intent.Attempt == attempt {
		a.unnoted = nil
	}
}

// count says whether the failure is still to be counted, once.
func (a *account) count() bool {
	if a.unnoted == nil {
		return true
	}
	counted := a.unnoted.counted
	a.unnoted.counted = true
	return !counted
}

// open is the attempt that is made again before anything else; nil: none.
func (a *account) open() *store.Intent {
	if a.resume == nil && a.unnoted != nil {
		return &a.unnoted.intent
	}
	return a.resume
}

// unfinished says whether an attempt was answered, or failed, and the disk has
// refused to note it. The caller holds k.mu, or has made the account busy.
func (a *account) unfinished() bool { return a.resume != nil || a.unnoted != nil && a.unnoted.stands }

// settleOne settles an account, and notes whether a disk that can't be written
// has kept it from that.
func (k *Keeper) settleOne(ctx context.Context, remote *sdk.Remote, a *account, entries []spool.Entry) error {
	err := k.settleAll(ctx, remote, a, entries)
	a.unsettled = errors.Is(err, store.ErrDisk) && a.open() == nil && a.lingering == nil
	return err
}

// settleAgain settles the account as the start of a generation does, if the
// disk kept it from that then.
func (k *Keeper) settleAgain(ctx context.Context, remote *sdk.Remote, a *account) error {
	if !a.unsettled {
		return nil
	}
	entries, err := k.readSpool(ctx, remote)
	if err != nil {
		return k.diskTrouble(a, err)
	}
	err = k.settleOne(ctx, remote, a, k.ofOurs(ctx, entries)[a.cfg.Name])
	if a.unsettled {
		k.mu.Lock()
		k.retry(a, schedule.Failure{InRow: 3})
		k.mu.Unlock()
	}
	return err
}
