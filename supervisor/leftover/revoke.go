package leftover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Revoke has the broker end the login that is stored of an account which is not
// configured, before that is forgotten. Who the client is, is known by another account
// alone, which is configured. revoked is when the broker has ended the login, now or before;
// zero: there is none that could live.
func (a Accounts) Revoke(ctx context.Context, name string, by event.Caller) (revoked time.Time, err error) {
	if err := a.isLeft(name); err != nil {
		return revoked, err
	}
	rec, err := a.Store.Load(ctx, name)
	_, intended, ierr := a.Store.Intent(ctx, name)
	switch err = errors.Join(err, ierr); {
	case errors.Is(err, store.ErrNotFound):
		return revoked, nil
	case err != nil:
		return revoked, control.Errorf(control.CodeUnavailable, "%v", err)
	case !rec.Health.Revoked.IsZero(), !listed(rec, a.Now).HasLogin:
		return rec.Health.Revoked, nil
	}
	not := func(format string, args ...any) error {
		return control.Errorf(control.CodeConflict, "account %s: nothing was revoked: %s", name, fmt.Sprintf(format, args...))
	}
	if intended {
		return revoked, not("nobody knows whether an attempt that is not settled has used up its token, and of a token that is used up a broker says that it is revoked. " +
			"Put the account back into the configuration and reload (tokenkeeper reload), so that it is settled")
	}
	if other, err := a.sharing(ctx, rec); other != "" || err != nil {
		if err != nil {
			return revoked, control.Errorf(control.CodeUnavailable, "%v", err)
		}
		return revoked, not("account %s has the same login by now, which would end with it", other)
	}
	k, ok := a.Keeper(rec.Provider)
	if !ok {
		return revoked, not("nobody keeps accounts of provider %s now: see tokenkeeper status", rec.Provider)
	}
	as := a.clientOf(rec, k)
	if as == "" {
		return revoked, not("no account of the configuration has the client to which its login was granted, and a broker takes the word of that one alone. "+
			"Put the account back into the configuration, reload (tokenkeeper reload), and then: tokenkeeper revoke %s", name)
	}
	done, err := k.RevokeLeft(ctx, rec, as, "tokenkeeper accounts forget "+name+" --revoke", by)
	return done.Record.Health.Revoked, err
}

// clientOf is an account of the configuration, kept by k, by whose client the broker has
// granted the login of rec, at the same server; "": there is none.
func (a Accounts) clientOf(rec store.Record, k *refresh.Keeper) string {
	var names []string
	for name, c := range a.Config.Accounts {
		if c.Provider == rec.Provider && k.WasGranted(sdk.Account{ClientID: c.ClientID, Settings: c.Settings}, rec.GrantedTo) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// sharing is another account that has the login of rec: a token of it, or one that
// follows from such a token; "": none has.
func (a Accounts) sharing(ctx context.Context, rec store.Record) (string, error) {
	heads, err := a.Store.Heads(ctx)
	if err != nil {
		return "", err
	}
	has := func(r store.Record, fingerprint string) bool {
		return fingerprint != "" && (r.Token.RefreshToken.Fingerprint() == fingerprint || r.Token.AccessToken.Fingerprint() == fingerprint || r.Replaced(fingerprint))
	}
	for _, h := range heads {
		if h.Account == rec.Account {
			continue
		}
		other, err := a.Store.Load(ctx, h.Account)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, t := range []sdk.Secret{rec.Token.RefreshToken, rec.Token.AccessToken} {
			if has(other, t.Fingerprint()) {
				return h.Account, nil
			}
		}
		if has(rec, other.Token.RefreshToken.Fingerprint()) {
			return h.Account, nil
		}
	}
	return "", nil
}
