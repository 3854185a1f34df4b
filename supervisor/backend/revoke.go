package backend

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// RevokePlan implements [control.Backend].
func (b accounts) RevokePlan(ctx context.Context, account string) (got control.RevokePlan, err error) {
	err = b.onKeeper(ctx, account, func(k *refresh.Keeper) error {
		rec, ends, err := k.Revocable(account)
		got = control.RevokePlan{
			Ends: string(ends), Others: b.endedWith(account, ends), SharedFile: b.sharedFileOf(account),
			Account: account, Provider: b.providerOf(account), Version: rec.Version, Expiry: rec.Token.Expiry(), ExpiryUncertain: rec.Token.Uncertain,
		}
		return err
	})
	return got, revokeError(err, b.Wall())
}

// Revoke implements [control.Backend].
func (b accounts) Revoke(ctx context.Context, account, agreed string, by event.Caller) (got control.RevokeAnswer, err error) {
	err = b.onKeeper(ctx, account, func(k *refresh.Keeper) error {
		done, err := k.Revoke(ctx, account, sdk.RevokeScope(agreed), by)
		got = control.RevokeAnswer{
			Ends: string(done.Ends), Others: b.endedWith(account, done.Ends), SharedFile: done.SharedFile,
			Account: account, Provider: b.providerOf(account), Version: done.Record.Version, Revoked: done.Record.Health.Revoked, Took: done.Took,
			Expiry: done.Record.Token.Expiry(), ExpiryUncertain: done.Record.Token.Uncertain,
		}
		if done.Left != nil {
			got.SharedFileError = done.Left.Error()
		}
		return err
	})
	return got, revokeError(err, b.Wall())
}

// endedWith are the other accounts of the configuration whose logins end with that of an
// account, by name.
func (b accounts) endedWith(account string, ends sdk.RevokeScope) []string {
	if ends != sdk.RevokesClient {
		return nil
	}
	all := b.Roster.Now().Config.Accounts
	of, others := all[account], []string(nil)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c := all[name]; name != account && c.Provider == of.Provider && c.ClientID == of.ClientID {
			others = append(others, name)
		}
	}
	return others
}

func (b accounts) providerOf(account string) string {
	return b.Roster.Now().Config.Accounts[account].Provider
}

func (b accounts) sharedFileOf(account string) string {
	if f := b.Roster.Now().Config.Accounts[account].SharedFile; f != nil {
		return f.Path
	}
	return ""
}

// revokeError gives the error of a revocation its code.
func revokeError(err error, now time.Time) error {
	said, ok := errors.AsType[*sdk.Error](err)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, refresh.ErrNotRevoked) || errors.Is(err, sdk.ErrUnimplemented) || errors.Is(err, refresh.ErrNoProcess) || errors.Is(err, sdk.ErrConnection):
		return control.RefreshError(err)
	case ok && said.Kind == sdk.KindRateLimited && said.RetryAfter > 0:
		e := control.Errorf(control.CodeNotYet, "%v", err)
		e.RetryAt = now.Add(said.RetryAfter)
		return e
	case ok && (said.Kind == sdk.KindRateLimited || said.Kind == sdk.KindNotSent):
		return control.Errorf(control.CodeUnavailable, "%v; try again", err)
	}
	return control.Errorf(control.CodeConflict, "%v", err)
}
