package supervisor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// This file turns each part of the configuration into its room.

func (s *Supervisor) newKeeper(ctx context.Context, provider, boot string) (*refresh.Keeper, error) {
	var accounts []refresh.Account
	for _, c := range s.opts.Config.AccountsOf(provider) {
		a := refreshAccount(s.opts.Config, c)
		if c.SharedFile != nil {
			f, err := s.shared.Add(c, func() { s.keepers[provider].Touch(c.Name) })
			if err != nil {
				return nil, fmt.Errorf("account %s: %w", c.Name, err)
			}
			a.Shared, a.SharedPath = f, c.SharedFile.Path
		}
		accounts = append(accounts, a)
	}
	c := refresh.Config{
		Provider: provider, Accounts: accounts, Store: s.store, Wake: s.newToken(provider),
		Events: s.events, Log: s.log, Wall: s.opts.Seams.Wall, Boot: boot,
		Probe:       func() { s.providers[provider].Probe() },
		Elsewhere:   s.elsewhere.ask,
		Others:      s.othersThan(provider),
		Steered:     func(path string) error { return process.Steered(path, s.opts.Config.Trust) },
		MaxInFlight: s.opts.Config.Providers[provider].MaxInFlight,
		LoggedIn:    s.loggedIn,
	}
	if s.systemClock {
		c.Up = machine.Uptime()
	}
	if s.opts.Seams.Launcher == nil { // processes in memory end with their supervisor
		p := programs.Predecessor(s.opts.Config, provider, s.log)
		c.Outwait, c.Bequests = p.Outwait, p.Bequests
	}
	return refresh.NewKeeper(ctx, c)
}

// othersThan is [refresh.Config.Others] of a provider's Keeper; of "" it asks
// all of them.
func (s *Supervisor) othersThan(provider string) func(account, fingerprint string) string {
	return func(account, fingerprint string) string {
		for name, k := range s.keepers {
			if name == provider {
				continue
			}
			if other := k.Knows(account, fingerprint); other != "" {
				return other
			}
		}
		return ""
	}
}

func refreshAccount(cfg *config.Config, c config.Account) refresh.Account {
	return refresh.Account{
		Account:      sdkAccount(c),
		BeforeExpiry: c.Refresh.BeforeExpiry,
		Every:        c.Refresh.Every,
		Jitter:       c.Refresh.Jitter,
		Timeout:      c.Refresh.Timeout,
		MaxFailures:  c.Refresh.MaxFailures,
		WholeGrant:   seenByOthers(cfg, c),
	}
}

// seenByOthers says whether other programs read the account's refresh token in
// a file, which may come back with any that it ever held.
func seenByOthers(cfg *config.Config, c config.Account) bool {
	if c.SharedFile != nil {
		return true
	}
	for _, s := range cfg.Sinks {
		if s.File != nil && s.IncludeRefreshToken && cfg.SinkWants(s, c.Name, c.Provider) {
			return true
		}
	}
	return false
}

func sdkAccount(c config.Account) sdk.Account {
	return sdk.Account{
		Name: c.Name, ClientID: c.ClientID, ClientSecret: c.ClientSecret,
		RedirectURL: c.RedirectURL, Scopes: c.Scopes, Settings: c.Settings,
	}
}

// wake tells every sink that an account has a new version.
func (s *Supervisor) wake(account string) {
	for _, w := range s.workers {
		w.Wake(account)
	}
}

func accountNames(accounts []config.Account) []string {
	names := make([]string, len(accounts))
	for i, a := range accounts {
		names[i] = a.Name
	}
	return names
}

func (s *Supervisor) credentials(account string) (clientID string, clientSecret sdk.Secret) {
	c := s.opts.Config.Accounts[account]
	return c.ClientID, c.ClientSecret
}

// newBeats keeps the sessions of a provider's accounts alive, if they need that.
func (s *Supervisor) newBeats(provider string, k *refresh.Keeper) *keepalive.Beats {
	var names []string
	for _, c := range s.opts.Config.AccountsOf(provider) {
		names = append(names, c.Name)
	}
	return keepalive.New(keepalive.Config{
		Provider: provider, Names: names, Accounts: k, Events: s.events, Log: s.log, Wall: s.opts.Seams.Wall,
		Probe: func() { s.providers[provider].Probe() },
	})
}

// newToken tells of an account's new version: it is delivered, and its session kept.
func (s *Supervisor) newToken(provider string) func(account string) {
	return func(account string) {
		s.wake(account)
		if b := s.beats[provider]; b != nil { // none is made yet while the store is read
			b.NewToken(account)
		}
	}
}

// beside is what goes on in each generation of a provider beside its refresh loop.
func (s *Supervisor) beside(provider string) func(context.Context, grpc.ClientConnInterface) error {
	return func(ctx context.Context, conn grpc.ClientConnInterface) error {
		s.beats[provider].Run(ctx, sdk.NewRemote(conn))
		return nil
	}
}

// handOver is how long the next supervisor may take to come, after one was
// killed. So long bots wait, at most, beside the time of the attempt itself.
const handOver = time.Minute

func (s *Supervisor) newMember(provider string, k *refresh.Keeper) (*process.Member, error) {
	c := process.Config{
		Name: provider, Work: process.Refreshing(k), Beside: s.beside(provider), Events: s.events, Log: s.log, Now: s.opts.Seams.Wall,
	}
	if s.opts.Seams.Launcher != nil {
		c.Launcher = s.opts.Seams.Launcher(provider)
		return process.New(c), nil
	}
	command, err := programs.OfProvider(s.opts.Config, provider, s.opts.Builtin)
	if err != nil {
		return nil, err
	}
	command.Log = s.log
	if !fdstore.Managed() { // or the next supervisor would wait for the process, and it for that one
		command.HandOver = handOver
	}
	c.Launcher = command
	c.Command = strings.Join(append([]string{command.Path}, command.Args...), " ")
	return process.New(c), nil
}
