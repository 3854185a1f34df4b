package supervisor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// This file turns each part of the configuration into its room.

func (s *Supervisor) newKeeper(ctx context.Context, provider, boot string) (*refresh.Keeper, error) {
	var accounts []refresh.Account
	for _, c := range s.opts.Config.AccountsOf(provider) {
		a := refreshAccount(c)
		if c.SharedFile != nil {
			f, err := newSharedFile(*c.SharedFile)
			if err != nil {
				return nil, fmt.Errorf("account %s: %w", c.Name, err)
			}
			a.Shared = f
			s.shared[c.Name] = sharedWatch{file: f, account: c.Name, supervisor: s}
		}
		accounts = append(accounts, a)
	}
	return refresh.NewKeeper(ctx, refresh.Config{
		Provider: provider, Accounts: accounts, Store: s.store, Wake: s.wake,
		Events: s.events, Log: s.log, Wall: s.opts.Seams.Wall, Boot: boot,
		Probe:       func() { s.providers[provider].Probe() },
		MaxInFlight: s.opts.Config.Providers[provider].MaxInFlight,
	})
}

func refreshAccount(c config.Account) refresh.Account {
	return refresh.Account{
		Account:      sdkAccount(c),
		BeforeExpiry: c.Refresh.BeforeExpiry,
		Every:        c.Refresh.Every,
		Jitter:       c.Refresh.Jitter,
		Timeout:      c.Refresh.Timeout,
		MaxFailures:  c.Refresh.MaxFailures,
	}
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

func (s *Supervisor) newWorker(c config.Sink) (*sink.Worker, error) {
	destination, policy, err := newSink(c)
	if err != nil {
		return nil, err
	}
	return sink.NewWorker(sink.WorkerConfig{
		Name: c.Name, Type: c.Type, Sink: destination, Policy: policy,
		Accounts: accountNames(s.opts.Config.SinkAccounts(c)), IncludeRefreshToken: c.IncludeRefreshToken,
		Store: s.store, Credentials: s.credentials, Events: s.events, Wall: s.opts.Seams.Wall,
	}), nil
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

func newSink(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	switch c.Type {
	case config.SinkFile:
		location := time.Local
		if c.Content.Timezone != "" {
			var err error
			if location, err = time.LoadLocation(c.Content.Timezone); err != nil {
				return nil, sink.RetryPolicy{}, fmt.Errorf("timezone: %w", err)
			}
		}
		encode, err := encoder(c.Content, format.Options{Location: location})
		if err != nil {
			return nil, sink.RetryPolicy{}, err
		}
		f, err := file.New(file.Config{
			Path: c.File.Path, Mode: c.File.Mode, Owner: c.File.Owner, Encode: encode,
		})
		return f, sink.RetryPolicy{}, err
	case config.SinkUnixSocket:
		policy := sink.RetryPolicy{Attempts: c.UnixSocket.Attempts, Interval: c.UnixSocket.Interval}
		if l := c.UnixSocket.Listen; l != nil {
			// A delivery may wait for a consumer's greeting before its own write.
			policy.Timeout = 2*c.UnixSocket.Timeout + time.Second
			u, err := unixsocket.NewListener(unixsocket.ListenConfig{
				Path: c.UnixSocket.Path, Timeout: c.UnixSocket.Timeout, Mode: l.Mode, AllowUIDs: l.AllowUIDs, MaxConsumers: l.MaxConsumers,
				Encode: func(d format.Document) ([]byte, error) {
					return format.Encode(format.JSON, d, format.Options{Indent: -1})
				},
			})
			return u, policy, err
		}
		u, err := unixsocket.New(unixsocket.Config{
			Path: c.UnixSocket.Path, Ack: c.UnixSocket.Ack, Timeout: c.UnixSocket.Timeout, Encode: format.Message,
		})
		return u, policy, err
	case config.SinkWebhook:
		w, err := webhook.New(webhook.Config{
			URL: c.Webhook.URL, Secret: c.Webhook.Secret, Headers: c.Webhook.Headers, Timeout: c.Webhook.Timeout,
		})
		return w, sink.RetryPolicy{}, err
	case config.SinkExec:
		// The worker's own limit of a try must not be the shorter one.
		policy := sink.RetryPolicy{Timeout: c.Exec.Timeout + time.Second}
		if c.Exec.Signal != nil {
			s, err := command.NewSignaller(command.SignalConfig{PIDFile: c.Exec.Signal.PIDFile, Signal: c.Exec.Signal.Name})
			return s, policy, err
		}
		s, err := command.New(command.Config{
			Command: c.Exec.Command, Timeout: c.Exec.Timeout,
			Encode: func(d format.Document) ([]byte, error) { return format.Encode(format.JSON, d, format.Options{}) },
		})
		return s, policy, err
	default:
		return nil, sink.RetryPolicy{}, fmt.Errorf("unknown type %q", c.Type)
	}
}

func encoder(c config.Content, o format.Options) (func(format.Document) ([]byte, error), error) {
	if c.Format == format.TemplateName {
		t, err := format.ParseTemplate(c.Template)
		if err != nil {
			return nil, err
		}
		return func(d format.Document) ([]byte, error) { return t.Encode(d, o) }, nil
	}
	return func(d format.Document) ([]byte, error) { return format.Encode(c.Format, d, o) }, nil
}

func (s *Supervisor) newMember(provider string, k *refresh.Keeper) (*process.Member, error) {
	c := process.Config{
		Name: provider, Work: process.Refreshing(k), Events: s.events, Log: s.log, Now: s.opts.Seams.Wall,
	}
	if s.opts.Seams.Launcher != nil {
		c.Launcher = s.opts.Seams.Launcher(provider)
		return process.New(c), nil
	}
	command, err := Command(s.opts.Config, provider, s.opts.Builtin)
	if err != nil {
		return nil, err
	}
	command.Log = s.log
	c.Launcher = command
	c.Command = strings.Join(append([]string{command.Path}, command.Args...), " ")
	return process.New(c), nil
}
