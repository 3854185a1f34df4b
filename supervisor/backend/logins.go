package backend

import (
	"context"
	"errors"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// logins lets people log in.
type logins struct{ Config }

func (b logins) Login(ctx context.Context, account, shape string, by event.Caller) (control.LoginAnswer, error) {
	var l login.Begun
	if err := b.onKeeper(ctx, account, func(k *refresh.Keeper) (err error) {
		l, err = k.BeginLogin(ctx, account, sdk.LoginShape(shape), by)
		return err
	}); err != nil {
		return control.LoginAnswer{}, control.RefreshError(err)
	}
	return control.LoginAnswer{
		Account: account, ID: l.ID, Address: l.URL, UserCode: l.UserCode, Instructions: l.Instructions, Polled: l.Polled,
		Earlier: l.Earlier, OpenLogin: *openLogin(&l),
	}, nil
}

func (b logins) CancelLogin(ctx context.Context, account string) (control.CancelledAnswer, error) {
	k, err := b.keeperOf(account)
	if err != nil {
		return control.CancelledAnswer{}, err
	}
	l, err := k.CancelLogin(ctx, account)
	if err != nil {
		return control.CancelledAnswer{}, control.RefreshError(err)
	}
	return control.CancelledAnswer{Account: account, OpenLogin: *openLogin(&l)}, nil
}

func openLogin(l *login.Begun) *control.OpenLogin {
	if l == nil {
		return nil
	}
	return &control.OpenLogin{Shape: string(l.Shape), BegunAt: l.At, By: l.By, Until: l.Until, Unpolled: l.Unpolled}
}

func (b logins) CompleteLogin(ctx context.Context, account, redirected string) (control.LoggedInAnswer, error) {
	k, err := b.keeperOf(account)
	if err != nil {
		return control.LoggedInAnswer{}, err
	}
	guided, open := k.IsGuided(account)
	got, err := codeIn(redirected, b.Roster.Now().Config.Accounts[account].RedirectURL)
	// What is no address may be meant for a login that is over: of that, then, its person
	// hears.
	if guided || err != nil && !open {
		return b.logged(ctx, account, func(k *refresh.Keeper) (store.Record, error) {
			return k.HandIn(ctx, account, sdk.NewSecret(redirected))
		})
	}
	if err != nil {
		return control.LoggedInAnswer{}, control.Errorf(control.CodeBadRequest, "account %s: %v. Nothing was sent, and the login stays open: go on with: tokenkeeper login %[1]s", account, err)
	}
	if err := k.CheckIssuer(account, got.issuer); err != nil {
		return control.LoggedInAnswer{}, control.Errorf(control.CodeBadRequest, "account %s: %v", account, err)
	}
	return b.logged(ctx, account, func(k *refresh.Keeper) (store.Record, error) {
		return k.CompleteLogin(ctx, account, got.state, got.code)
	})
}

// logged is what the end of a login has brought.
func (b logins) logged(ctx context.Context, account string, end func(*refresh.Keeper) (store.Record, error)) (control.LoggedInAnswer, error) {
	var rec store.Record
	if err := b.onKeeper(ctx, account, func(k *refresh.Keeper) (err error) {
		rec, err = end(k)
		return err
	}); err != nil {
		return control.LoggedInAnswer{}, control.RefreshError(err)
	}
	return loggedInAnswer(rec), nil
}

func (b logins) AwaitLogin(ctx context.Context, account, id string) (control.AwaitedAnswer, error) {
	k, err := b.keeperOf(account)
	if err != nil {
		return control.AwaitedAnswer{}, err
	}
	rec, err := k.AwaitLogin(ctx, account, id)
	switch {
	case errors.Is(err, login.ErrOpen):
		open := control.AwaitedAnswer{Account: account}
		if st, _ := k.Status(account); st.Login != nil && st.Login.ID == id {
			open.Unpolled = st.Login.Unpolled
		}
		return open, nil
	case err != nil:
		return control.AwaitedAnswer{}, control.RefreshError(err)
	}
	got := loggedInAnswer(rec)
	return control.AwaitedAnswer{Account: account, LoggedIn: &got}, nil
}

func (b logins) ConfirmLogin(ctx context.Context, account string) (control.LoggedInAnswer, error) {
	k, err := b.keeperOf(account)
	if err != nil {
		return control.LoggedInAnswer{}, err
	}
	rec, err := k.ConfirmLogin(ctx, account)
	if err != nil {
		return control.LoggedInAnswer{}, control.RefreshError(err)
	}
	b.Ownership.LoggedIn(ctx, rec)
	return loggedInAnswer(rec), nil
}

func (b logins) DiscardLogin(ctx context.Context, account string) (control.DiscardedAnswer, error) {
	k, err := b.keeperOf(account)
	if err != nil {
		return control.DiscardedAnswer{}, err
	}
	person, err := k.DiscardLogin(ctx, account)
	if err != nil {
		return control.DiscardedAnswer{}, control.RefreshError(err)
	}
	return control.DiscardedAnswer{Account: account, Person: person.String()}, nil
}

func loggedInAnswer(rec store.Record) control.LoggedInAnswer {
	return control.LoggedInAnswer{
		Account: rec.Account, Person: refresh.PersonOf(rec), Version: rec.Version, Way: refresh.WayName(rec),
		Expiry: rec.Token.Expiry(), ExpiryUncertain: rec.Token.Uncertain, RefreshExpiry: rec.RefreshExpiry,
	}
}
