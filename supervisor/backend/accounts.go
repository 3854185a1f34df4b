package backend

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/importing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// accounts lets a person, or a program, act on accounts and their providers.
type accounts struct{ Config }

func (b accounts) Restart(ctx context.Context, provider string) (control.RestartAnswer, error) {
	there := b.Roster.Now()
	m, ok := there.Members[provider]
	if !ok {
		if _, sink := there.Plugins[provider]; sink {
			return control.RestartAnswer{}, control.Errorf(control.CodeNotFound,
				"%s is no provider but a sink; restart it with: tokenkeeper sinks restart %s", provider, provider)
		}
		if a, account := there.Config.Accounts[provider]; account {
			return control.RestartAnswer{}, control.Errorf(control.CodeNotFound,
				"%s is no provider but an account, and its provider is %s, whose process serves all accounts there; restart that with: tokenkeeper restart %[2]s", provider, a.Provider)
		}
		return control.RestartAnswer{}, b.unknown("provider", provider, providersOf, control.Errorf(control.CodeNotFound,
			"no account uses a provider named %q%s", provider, control.Hint(provider, slices.Sorted(maps.Keys(there.Members)), "status")))
	}
	a, err := m.Restart(ctx)
	if err != nil {
		return control.RestartAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.RestartAnswer{Provider: provider, OldPID: a.OldPID, PID: a.PID, Generation: a.Generation}, nil
}

func (b accounts) Refresh(ctx context.Context, account string, force bool) (control.RefreshAnswer, error) {
	var k *refresh.Keeper
	refreshed := false
	err := b.onKeeper(ctx, account, func(of *refresh.Keeper) (err error) {
		k = of
		refreshed, err = k.Refresh(ctx, account, force)
		return err
	})
	if k == nil {
		return control.RefreshAnswer{}, err
	}
	st, _ := k.Status(account)
	if err != nil {
		return control.RefreshAnswer{}, refreshError(st, err)
	}
	replacedBy := ""
	if o := st.Record.Origin; refreshed && (o == store.OriginLogin || o == store.OriginImport) {
		replacedBy = string(o)
	}
	return control.RefreshAnswer{
		Account: account, Refreshed: refreshed, Version: st.Record.Version,
		Expiry: st.Record.Token.Expiry(), ExpiryUncertain: st.Record.Token.Uncertain, Due: st.Due, ReplacedBy: replacedBy,
		By: broughtBy(st.Record, refreshed),
	}, nil
}

// broughtBy is what has brought a record's token, if somebody asked for it just now.
func broughtBy(r store.Record, asked bool) string {
	switch {
	case !asked:
	case r.Origin == store.OriginMint:
		return control.ByMint
	case r.Origin == store.OriginRefresh && r.Way == store.WayRenew:
		return control.ByRenewal
	case r.Origin == store.OriginRefresh:
		return control.ByRefresh
	}
	return ""
}

// TestAccount implements [control.Backend].
func (b accounts) TestAccount(ctx context.Context, account string) (control.AccountTestAnswer, error) {
	var k *refresh.Keeper
	var got refresh.Checked
	err := b.onKeeper(ctx, account, func(of *refresh.Keeper) (err error) {
		k = of
		got, err = k.Check(ctx, account)
		return err
	})
	if k == nil {
		return control.AccountTestAnswer{}, err
	}
	if err != nil {
		st, _ := k.Status(account)
		return control.AccountTestAnswer{}, testError(got, st, err, b.Wall())
	}
	return control.AccountTestAnswer{Account: account, Version: got.Version, Took: got.Took}, nil
}

// testError says what to do about a token that was refused, or of which the broker has said
// nothing.
func testError(got refresh.Checked, st refresh.Status, err error, now time.Time) error {
	said, ok := errors.AsType[*sdk.Error](err)
	switch {
	case !ok || errors.Is(err, sdk.ErrUnimplemented) || errors.Is(err, sdk.ErrConnection):
		return control.RefreshError(err)
	case said.Kind == sdk.KindInvalidGrant:
		return control.Errorf(control.CodeConflict, "%v: version %d does not work. To get the next one: tokenkeeper refresh %s --force; if that one is refused, too, %s",
			err, got.Version, st.By.Account, st.By.With(""))
	case said.Kind == sdk.KindRateLimited && said.RetryAfter > 0:
		e := control.Errorf(control.CodeNotYet, "%v", err)
		e.RetryAt = now.Add(said.RetryAfter)
		return e
	case said.Kind == sdk.KindInvalidClient:
		return control.Errorf(control.CodeConflict, "%v", err)
	}
	return control.Errorf(control.CodeUnavailable, "%v. Whether version %d works is not known; try again", err, got.Version)
}

func (b accounts) Token(_ context.Context, account string) (control.TokenAnswer, error) {
	k, err := b.keeperOf(account)
	if err != nil {
		return control.TokenAnswer{}, err
	}
	st, _ := k.Status(account)
	r := st.Record
	if r.Version == 0 && st.Mints {
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken,
			"account %s has no token yet: its provider mints one, which has not come; how it goes: tokenkeeper status %[1]s", account)
	}
	if r.Version == 0 {
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken,
			"account %s has no token yet; %s", account, st.By.First())
	}
	return control.TokenAnswer{
		Account: account, Version: r.Version, AccessToken: r.Token.AccessToken.Reveal(),
		TokenType: r.Token.TokenType, Expiry: r.Token.Expiry(), ExpiryUncertain: r.Token.Uncertain,
	}, nil
}

func (b accounts) Import(ctx context.Context, req control.ImportRequest) (control.ImportAnswer, error) {
	k, err := b.keeperOf(req.Account)
	if err != nil {
		return control.ImportAnswer{}, err
	}
	return importing.Into(ctx, k, b.Roster.Now().Config, req)
}
