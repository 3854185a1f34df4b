package leftover

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Accounts are those of one store. What is done to them must not be done while the
// configuration is read again. Errors are those of the control API.
type Accounts struct {
	Config *config.Config
	Store  store.Store
	// KeeperOf returns who keeps the token of a configured account, and Keeper who keeps
	// those of a provider; ok is false if nobody does.
	KeeperOf func(account string) (k *refresh.Keeper, ok bool)
	Keeper   func(provider string) (k *refresh.Keeper, ok bool)
	Now      time.Time
}

// Offline does something to the accounts of a state directory in which no supervisor
// runs: the store's lock makes sure of that.
func Offline(ctx context.Context, cfg *config.Config, do func(Accounts) error) error {
	return statedir.Use(cfg.StateDir, cfg.FallbackDir, func(st *store.Journal) error {
		silent := slog.New(slog.DiscardHandler)
		return do(Accounts{
			Config: cfg, Store: st, Now: time.Now(),
			Keeper: func(string) (*refresh.Keeper, bool) { return nil, false },
			KeeperOf: func(account string) (*refresh.Keeper, bool) {
				c := cfg.Accounts[account]
				k, err := refresh.NewKeeper(ctx, refresh.Config{
					Provider: c.Provider, Accounts: []refresh.Account{roster.Nobody(cfg).Account(c)}, Store: st,
					Wake: func(string) {}, Events: event.NewBus(silent, time.Now), Log: silent, Wall: time.Now,
				})
				return k, err == nil
			},
		})
	})
}

// Rename has the account to, which is configured and has no token, go on with what is
// stored of from, which is not configured any more.
func (a Accounts) Rename(ctx context.Context, from, to string) (control.RenameAnswer, error) {
	switch _, there := a.Config.Accounts[from]; {
	case from == to:
		return control.RenameAnswer{}, control.Errorf(control.CodeBadRequest, "account %s has that name already", from)
	case there:
		return control.RenameAnswer{}, control.Errorf(control.CodeConflict,
			"account %s is in the configuration %s: write its new name there and reload first (tokenkeeper reload), and then what is stored can be renamed", from, a.Config.File)
	}
	if _, there := a.Config.Accounts[to]; !there {
		return control.RenameAnswer{}, control.NoAccount(to, a.Config)
	}
	rec, err := a.Store.Load(ctx, from)
	if errors.Is(err, store.ErrNotFound) {
		return control.RenameAnswer{}, a.unknown(ctx, from)
	} else if err != nil {
		return control.RenameAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	if rec.GrantedTo.Client != "" && clientOf(a.Config.Accounts[to]) == "" {
		return control.RenameAnswer{}, control.Errorf(control.CodeConflict,
			"account %s was granted to a client, and the client_id of account %s is not known here, so that nobody can tell whether it is that one; nothing was renamed. "+
				"Set what client_id refers to, or start the supervisor, which knows it, and rename then", from, to)
	}
	open, unread, err := spools.OfAccount(a.Config, rec.Provider, from)
	switch {
	case err != nil:
		return control.RenameAnswer{}, control.Errorf(control.CodeUnavailable, "look into the spool of provider %s: %v; nothing was renamed", rec.Provider, err)
	case len(open) > 0:
		return control.RenameAnswer{}, control.Errorf(control.CodeConflict,
			"account %s: attempt %s of it lies in the spool of provider %s, and may hold its newest token; nothing was renamed. Put the account back into the "+
				"configuration and reload, so that it is settled, and rename it then", from, open[0].Attempt, rec.Provider)
	}
	k, ok := a.KeeperOf(to)
	if !ok {
		return control.RenameAnswer{}, control.Errorf(control.CodeUnavailable, "account %s is not kept by anybody now; nothing was renamed: see tokenkeeper status", to)
	}
	given := false
	rec, err = k.MoveIn(ctx, to, from, func() error {
		given = true
		return give(unread, to)
	})
	if err != nil && given {
		err = a.giveBack(ctx, unread, from, err)
	}
	switch {
	case errors.Is(err, store.ErrConflict):
		return control.RenameAnswer{}, control.Errorf(control.CodeConflict, "%v; nothing was renamed", err)
	case err != nil:
		return control.RenameAnswer{}, control.RefreshError(err)
	}
	return control.RenameAnswer{
		Account: to, From: from, Version: rec.Version, Unread: len(unread),
		Way: refresh.WayName(rec), Expiry: rec.Token.Expiry(), RefreshExpiry: rec.RefreshExpiry,
	}, nil
}

// give has answers that nobody could read be an account's.
func give(unread []spool.Unread, account string) error {
	for _, u := range unread {
		b, err := u.Of(account)
		if err == nil {
			err = atomicfile.Replace(context.Background(), files.OS{}, u.Path, b, atomicfile.AsTheyAre())
		}
		if err != nil {
			return control.Errorf(control.CodeUnavailable, "the unread answer %s can't be made one of account %s: %v; nothing was renamed", u.Path, account, err)
		}
	}
	return nil
}

// giveBack has the answers be those of from again, if what is stored has that name still,
// and returns why it has, and what could not be given back. Of one that is cut off before
// this they are given once it is renamed again.
func (a Accounts) giveBack(ctx context.Context, unread []spool.Unread, from string, why error) error {
	if _, err := a.Store.Load(context.WithoutCancel(ctx), from); err != nil { // it has the new one
		return why
	}
	if err := give(unread, from); err != nil {
		return control.Errorf(control.CodeUnavailable, "%v; %v", why, err)
	}
	return why
}

// Forget removes all that is stored of an account that is not configured. What lies in
// the spool goes first: cut off in between, it is done once more.
func (a Accounts) Forget(ctx context.Context, name string) (control.ForgetAnswer, error) {
	if err := a.isLeft(name); err != nil {
		return control.ForgetAnswer{}, err
	}
	rec, err := a.Store.Load(ctx, name)
	in, intended, ierr := a.Store.Intent(ctx, name)
	if err = errors.Join(err, ierr); err != nil && !errors.Is(err, store.ErrNotFound) {
		return control.ForgetAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	got := control.ForgetAnswer{Account: name}
	providers := a.Config.ProviderNames()
	if rec.Version > 0 {
		l := listed(rec, a.Now)
		got.Provider, got.Version, got.HadLogin, got.Way = rec.Provider, rec.Version, l.HasLogin, l.Way
		got.Expiry, got.RefreshExpiry, got.Revoked = l.Expiry, l.RefreshExpiry, l.Revoked
		providers = []string{rec.Provider}
	}
	attempts := map[string]bool{}
	if intended {
		attempts[in.Attempt] = true
		in.Spool = "" // cut off in between, an empty spool proves nothing of it
		if err := a.Store.Replace(ctx, in.Attempt, in); err != nil {
			return control.ForgetAnswer{}, control.Errorf(control.CodeUnavailable, "%v; nothing was forgotten", err)
		}
	}
	for _, provider := range providers {
		if err := a.clear(ctx, provider, name, attempts, &got.Unread); err != nil {
			return control.ForgetAnswer{}, control.Errorf(control.CodeUnavailable, "what lies in the spool of provider %s of account %s can't be removed: %v; its token is still stored, try once more", provider, name, err)
		}
	}
	got.Attempts = len(attempts)
	ctx = context.WithoutCancel(ctx)
	switch err := store.Made(a.Store.Forget(ctx, name, in.Attempt, rec.Basis()), func() (bool, error) {
		_, err := a.Store.Load(ctx, name)
		_, stands, ierr := a.Store.Intent(ctx, name)
		return errors.Is(err, store.ErrNotFound) && ierr == nil && !stands, ierr
	}); {
	case errors.Is(err, store.ErrNotFound) && got.Attempts+got.Unread == 0:
		return control.ForgetAnswer{}, a.unknown(ctx, name)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return control.ForgetAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return got, nil
}

// Forgotten is how it is told.
func Forgotten(got control.ForgetAnswer) event.Event {
	return event.Event{
		Type: event.Forgotten, Account: got.Account, Provider: got.Provider, Version: got.Version,
		Message: "what was stored of this account, which is in no configuration, was removed",
	}
}

// Renamed is how it is told where nobody keeps the account.
func Renamed(got control.RenameAnswer, provider string) event.Event {
	return event.Event{
		Type: event.Imported, Account: got.Account, From: got.From, Provider: provider, Version: got.Version, Expiry: got.Expiry,
		Message: refresh.MovedText(got.From),
	}
}

// isLeft says why the account can't be forgotten; nil: it is in no configuration.
func (a Accounts) isLeft(name string) error {
	if _, there := a.Config.Accounts[name]; there {
		return control.Errorf(control.CodeConflict,
			"account %s is in the configuration %s: remove it from there and reload first (tokenkeeper reload); then it can be forgotten", name, a.Config.File)
	}
	return nil
}

// clear removes what lies in a provider's spool of an account, and notes whose attempts
// they were and how many answers that nobody could read.
func (a Accounts) clear(ctx context.Context, provider, account string, attempts map[string]bool, unread *int) error {
	if !sdk.ValidName(provider) {
		return nil
	}
	open, _, err := spools.OfAccount(a.Config, provider, account)
	if err != nil {
		return err
	}
	for _, e := range open {
		attempts[e.Attempt] = true
		if k, ok := a.Keeper(provider); ok {
			err = k.Discard(ctx, e.Attempt)
		} else {
			err = spools.Free(ctx, a.Config, provider, e.Attempt)
		}
		if err != nil {
			return err
		}
	}
	_, aside, err := spools.OfAccount(a.Config, provider, account) // what was freed may be among them
	if err != nil {
		return err
	}
	for _, u := range aside {
		if err := os.Remove(u.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := (files.OS{}).SyncDir(filepath.Dir(u.Path)); err != nil {
			return err
		}
		*unread++
	}
	return nil
}

// unknown says that nothing is stored of an account, and of which something is that are
// not configured.
func (a Accounts) unknown(ctx context.Context, name string) error {
	left, err := In(ctx, a.Config, a.Store, a.Now)
	if err != nil {
		return control.Errorf(control.CodeUnavailable, "%v", err)
	}
	var names []string
	for _, l := range left {
		names = append(names, l.Name)
	}
	return control.Errorf(control.CodeNotFound, "nothing is stored of an account %q that is in no configuration%s", name, control.Hint(name, names, "accounts list"))
}
