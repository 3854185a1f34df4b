package backend

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// leftovers lets a person see what is stored of accounts, and move or remove what is of one
// that is not configured any more.
type leftovers struct{ Config }

func (b leftovers) Accounts(ctx context.Context) (control.AccountList, error) {
	heads, err := b.Store.Heads(ctx)
	if err != nil {
		return control.AccountList{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	var stored []store.Record
	for _, h := range heads {
		if r, err := b.Store.Load(ctx, h.Account); err == nil { // or it was forgotten just now
			stored = append(stored, r)
		}
	}
	there, now := b.Roster.Now(), b.Wall()
	all := leftover.List(there.Config, stored, now)
	for i := range all {
		if k, ok := there.KeeperOf(all[i].Name); ok { // which knows the broker
			st, _ := k.Status(all[i].Name)
			all[i].RefreshExpiryUncertain = st.RefreshExpiryUncertain
		}
	}
	return control.AccountList{Now: now, Accounts: all}, nil
}

func (b leftovers) RenameAccount(ctx context.Context, from, to string) (got control.RenameAnswer, err error) {
	err = b.alone(ctx, from, func(a leftover.Accounts) error {
		_, kept := a.Config.Accounts[from]
		if _, there := a.Config.Accounts[to]; !kept && !there {
			return b.unknown("account", to, accountsOf, control.NoAccount(to, a.Config))
		}
		got, err = a.Rename(ctx, from, to)
		return err
	})
	return got, err
}

func (b leftovers) ForgetAccount(ctx context.Context, account string, revoke bool, by event.Caller) (got control.ForgetAnswer, err error) {
	err = b.alone(ctx, account, func(a leftover.Accounts) error {
		if revoke {
			if _, err := a.Revoke(ctx, account, by); err != nil {
				return notForgotten(err, a.Now)
			}
		}
		if got, err = a.Forget(ctx, account); err == nil {
			b.Events.Publish(slog.LevelInfo, leftover.Forgotten(got))
		}
		return err
	})
	return got, err
}

// notForgotten is why the login of an account was not revoked, and so nothing forgotten.
func notForgotten(err error, now time.Time) error {
	err = revokeError(err, now)
	if said, ok := errors.AsType[*control.Error](err); ok {
		said.Message += "; nothing was forgotten"
		return said
	}
	return err
}

// alone does something to an account, of which only the store has something, while nobody
// reads the configuration again.
func (b leftovers) alone(ctx context.Context, account string, do func(leftover.Accounts) error) error {
	done, err := b.Alone(ctx)
	if err != nil {
		return control.Errorf(control.CodeUnavailable, "%v", err)
	}
	defer done()
	there := b.Roster.Now()
	if _, kept := there.Config.Accounts[account]; kept && slices.Contains(b.File.Glance().Difference.Accounts.Removed, account) {
		return control.Errorf(control.CodeConflict, "account %s is not in %s any more, and the running supervisor still keeps it. To use the file: %s", account, there.Config.File, control.ToUse)
	}
	return do(leftover.Accounts{
		Config: there.Config, Store: b.Store, Now: b.Wall(),
		KeeperOf: there.KeeperOf, Keeper: keeperIn(there),
	})
}

func keeperIn(there *roster.Present) func(provider string) (*refresh.Keeper, bool) {
	return func(provider string) (*refresh.Keeper, bool) {
		k, ok := there.Keepers[provider]
		return k, ok
	}
}
