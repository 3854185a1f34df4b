// Package leftover is about accounts of which the store has something and which no
// configuration names any more: it lists them, gives what is theirs to the account that
// they were renamed to, or forgets them.
package leftover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Store is what is read to list them.
type Store interface {
	Heads(ctx context.Context) ([]store.Head, error)
	Load(ctx context.Context, account string) (store.Record, error)
}

// List is every account that is configured or stored, by name.
func List(cfg *config.Config, stored []store.Record, now time.Time) []control.ListedAccount {
	all := map[string]control.ListedAccount{}
	for name := range cfg.Accounts {
		all[name] = control.ListedAccount{Name: name}
	}
	for _, r := range stored {
		all[r.Account] = listed(r, now)
	}
	return Compare(cfg, slices.Collect(maps.Values(all)))
}

// Stored is [List] of what lies on the disk while no supervisor runs. It changes nothing;
// its errors are those of [store.Peek].
func Stored(cfg *config.Config, now time.Time) ([]control.ListedAccount, error) {
	records, err := Records(cfg)
	return List(cfg, records, now), err
}

// Records are the newest of each account while no supervisor runs, by name: those in the
// state directory, and in the one that stands in for it.
func Records(cfg *config.Config) (all []store.Record, err error) {
	newest, errs := map[string]store.Record{}, []error(nil)
	for _, dir := range store.Places(cfg.StateDir, cfg.FallbackDir) {
		contents, err := store.Peek(dir)
		errs = append(errs, err)
		for _, r := range contents.Records() {
			if r.Version >= newest[r.Account].Version {
				newest[r.Account] = r
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		all = append(all, newest[name])
	}
	return all, errors.Join(errs...)
}

// Compare says of all again how they stand to a configuration, which may be another one
// than that by which they were listed.
func Compare(cfg *config.Config, all []control.ListedAccount) []control.ListedAccount {
	begins := map[string]string{} // how the client ids begin, by their fingerprints
	clients := map[string]string{}
	for name, c := range cfg.Accounts {
		clients[name] = clientOf(c)
		if c.ClientID != "" {
			begins[clients[name]] = fmt.Sprintf("%.4s", c.ClientID)
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a control.ListedAccount) bool {
		_, there := cfg.Accounts[a.Name]
		return a.Version == 0 && !there // it was in that configuration alone
	})
	seen := map[string]bool{}
	for i := range all {
		a := &all[i]
		c, ok := cfg.Accounts[a.Name]
		a.Configured, a.MayBe, seen[a.Name] = ok, nil, true
		if ok {
			a.Provider = c.Provider
			a.Client = cmp.Or(a.Client, clients[a.Name])
		}
		a.ClientID = begins[a.Client]
	}
	for name, c := range cfg.Accounts {
		if !seen[name] {
			all = append(all, control.ListedAccount{Name: name, Provider: c.Provider, Configured: true, Client: clients[name], ClientID: begins[clients[name]]})
		}
	}
	slices.SortFunc(all, func(a, b control.ListedAccount) int { return cmp.Compare(a.Name, b.Name) })
	hasToken := map[string]bool{}
	for _, a := range all {
		hasToken[a.Name] = a.Version > 0
	}
	suspect(cfg, all, func(name string) bool { return hasToken[name] })
	return all
}

// Of are those of all that the configuration does not name.
func Of(all []control.ListedAccount) []control.ListedAccount {
	return slices.DeleteFunc(slices.Clone(all), func(a control.ListedAccount) bool { return a.Configured })
}

// In are those of a store that the configuration does not name, by name. Where there is
// none, that costs a look at every name.
func In(ctx context.Context, cfg *config.Config, st Store, now time.Time) (left []control.ListedAccount, err error) {
	heads, err := st.Heads(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if _, ok := cfg.Accounts[h.Account]; ok {
			continue
		}
		r, err := st.Load(ctx, h.Account)
		switch {
		case errors.Is(err, store.ErrNotFound): // it was forgotten just now
		case err != nil:
			return nil, err
		default:
			left = append(left, listed(r, now))
		}
	}
	if len(left) > 0 {
		suspect(cfg, left, func(name string) bool {
			_, has := slices.BinarySearchFunc(heads, name, func(h store.Head, name string) int { return cmp.Compare(h.Account, name) })
			return has
		})
	}
	return left, nil
}

// Holder returns what finds the account of a provider which a configuration does not name
// and which has, or had, the refresh token with a fingerprint, or has sent it in an attempt
// that stands open; "": there is none. Which come into question it looks up once, when it
// is asked first: under one configuration there come to be no more of them.
func Holder(ctx context.Context, cfg *config.Config, st store.Store, provider string) func(fingerprint string) string {
	ctx = context.WithoutCancel(ctx)
	left := sync.OnceValue(func() (left []string) {
		heads, _ := st.Heads(ctx) // of a store that is closed nothing can be taken either
		for _, h := range heads {
			if _, there := cfg.Accounts[h.Account]; !there && (h.Provider == "" || h.Provider == provider) {
				left = append(left, h.Account)
			}
		}
		return left
	})
	return func(fingerprint string) string {
		for _, name := range left() {
			if holds(ctx, st, name, fingerprint) {
				return name
			}
		}
		return ""
	}
}

func holds(ctx context.Context, st store.Store, account, fingerprint string) bool {
	if r, err := st.Load(ctx, account); err == nil && (r.Token.RefreshToken.Fingerprint() == fingerprint || r.Replaced(fingerprint)) {
		return true
	}
	in, open, err := st.Intent(ctx, account)
	for before := &in; err == nil && open && before != nil; before = before.Before {
		if before.Fingerprint == fingerprint {
			return true
		}
	}
	return false
}

// listed is what a record says of its account.
func listed(r store.Record, now time.Time) control.ListedAccount {
	a := control.ListedAccount{
		Name: r.Account, Provider: r.Provider, Version: r.Version, Client: r.GrantedTo.Client, Way: refresh.WayName(r),
		Expiry: r.Token.Expiry(), ExpiryUncertain: r.Token.Uncertain, RefreshExpiry: r.RefreshExpiry,
		RefreshExpiryUncertain: r.LoginUncertain && !r.RefreshExpiry.IsZero(), Revoked: r.Health.Revoked, RevokeUnknown: r.RevokeUnknown(),
	}
	a.RefreshRefused = r.Way == store.WayRefresh && r.Refused()
	end, _ := a.Ends()
	a.HasLogin = !a.RefreshRefused && a.Revoked.IsZero() && (end.IsZero() || now.Before(end))
	return a
}

// clientOf is the fingerprint of an account's client.
func clientOf(c config.Account) string {
	return refresh.GrantedTo(sdk.Account{ClientID: c.ClientID}).Client
}

// suspect says of those that are in no configuration which account each may be now.
func suspect(cfg *config.Config, all []control.ListedAccount, hasToken func(account string) bool) {
	type grant struct{ provider, client string }
	granted := map[grant][]int{}
	for i, a := range all {
		if !a.Configured && a.HasLogin && a.Client != "" && a.Way != control.WayMint {
			of := grant{a.Provider, a.Client}
			granted[of] = append(granted[of], i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		c := cfg.Accounts[name]
		if len(granted) == 0 || hasToken(name) {
			continue
		}
		if could := granted[grant{c.Provider, clientOf(c)}]; len(could) == 1 {
			all[could[0]].MayBe = append(all[could[0]].MayBe, name)
		}
	}
}
