// Package gcpsecretmanager is the sink that keeps an account's newest token in
// Google Cloud Secret Manager: each delivery adds a version to a secret and
// destroys the one before, and a machine that lost its disk gets the token
// back from there. README.md says what is guaranteed.
//
// The service: https://cloud.google.com/secret-manager/docs/reference/rpc
package gcpsecretmanager

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Sink is the sink for [sdk.ServeSink]. It keeps connections and what it knows
// of the numbers of versions, but no token between calls.
type Sink struct {
	clients clients
	secrets secrets
	// now is the wall clock; only tests change it.
	now func() time.Time
}

var (
	_ sdk.Sink     = (*Sink)(nil)
	_ sdk.Restorer = (*Sink)(nil)
	_ sdk.Tester   = (*Sink)(nil)
)

// New returns the sink.
func New() *Sink { return &Sink{now: time.Now} }

// Close ends the connections. A process that serves the sink need not call it.
func (s *Sink) Close() error { return s.clients.close() }

// DescribeSink implements [sdk.Sink].
func (s *Sink) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{Name: "gcp-secret-manager", Version: "1.0.0", Settings: describeSettings()}, nil
}

// Deliver implements [sdk.Sink].
func (s *Sink) Deliver(ctx context.Context, req sdk.DeliverRequest) error {
	set, err := readSettings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return fmt.Errorf("%w: %w", sdk.ErrRefused, err)
	}
	secret := s.secrets.of(set)
	if err := secret.lock(ctx); err != nil {
		return fmt.Errorf("%s: another delivery to it is taking longer than this one had time: %w", set, err)
	}
	defer secret.unlock()
	if err := secret.claim(set.key, req.Account); err != nil {
		return fmt.Errorf("%w: %s: %w", sdk.ErrRefused, set, err)
	}
	v, err := s.vault(ctx, set)
	if err != nil {
		return err
	}
	doc, err := newDocument(set, req)
	if err != nil {
		return fmt.Errorf("%w: %w", sdk.ErrRefused, err)
	}
	err = (&write{vault: v, secret: secret, doc: doc, now: s.now}).run(ctx)
	s.clients.forgetIfUnauthenticated(set, err)
	return err
}

// Restore implements [sdk.Restorer].
func (s *Sink) Restore(ctx context.Context, req sdk.RestoreRequest) (sdk.Restored, error) {
	set, err := readSettings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return sdk.Restored{}, err
	}
	v, err := s.vault(ctx, set)
	if err != nil {
		return sdk.Restored{}, err
	}
	found, err := v.newest(ctx, 0)
	if err != nil {
		s.clients.forgetIfUnauthenticated(set, err)
		return sdk.Restored{}, err
	}
	content, err := extract(set, req.Account, found.payload)
	if err != nil {
		return sdk.Restored{}, err
	}
	// When it was stored is good to know and not worth failing for.
	storedAt, _ := v.created(ctx, found.number)
	return sdk.Restored{Content: sdk.NewSecret(content), StoredAt: storedAt}, nil
}

// Test implements [sdk.Tester]: it reads the newest version, and asks for the
// permissions that a delivery needs.
func (s *Sink) Test(ctx context.Context, req sdk.TestRequest) error {
	set, err := readSettings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return err
	}
	v, err := s.vault(ctx, set)
	if err != nil {
		return err
	}
	found, err := v.newest(ctx, 0)
	if err == nil && found.number == 0 {
		// A secret that does not exist has no permissions to ask for.
		if exists, existsErr := v.exists(ctx); existsErr == nil && !exists {
			if set.create {
				return nil
			}
			return fmt.Errorf("%s does not exist: create it (gcloud secrets create %s --project %s), or set create: true",
				set, set.secret, set.project)
		}
	}
	if err == nil {
		err = v.permitted(ctx)
	}
	s.clients.forgetIfUnauthenticated(set, err)
	return err
}

func (s *Sink) vault(ctx context.Context, set settings) (*vault, error) {
	client, err := s.clients.get(ctx, set)
	if err != nil {
		return nil, err
	}
	return &vault{client: client, settings: set}, nil
}

// errShared: two accounts would overwrite each other.
func errShared(owner string) error {
	return fmt.Errorf("it holds the token of account %s: put {account} into the setting secret, or set key, "+
		"so that each account has its own place; if %s is this account's former name, destroy that version",
		owner, owner)
}

// notStored says which secret holds nothing, and why.
func notStored(set settings, why string) error {
	return fmt.Errorf("%s: %w: %s", set, sdk.ErrNothingStored, why)
}
