package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrGrantedElsewhere: the login is one of another provider, client or server than the
// account's.
var ErrGrantedElsewhere = errors.New("the login was granted elsewhere")

// MoveIn has an account without a token of its own go on with what is stored under the
// name from, which is no account of anybody: it was renamed. It is due at once, or as the
// token says, and an attempt of which nobody knows the outcome is its own from then on.
// before is called when nothing speaks against it, and keeps it from being done.
func (p persons) MoveIn(ctx context.Context, name, from string, before func() error) (store.Record, error) {
	a, err := p.accounts.claim(ctx, name)
	if err != nil {
		return store.Record{}, err
	}
	defer a.release()
	rec, err := p.store.Load(ctx, from)
	if err != nil {
		return store.Record{}, err
	}
	if err := (movingIn{a}).takes(rec); err != nil {
		return store.Record{}, err
	}
	ctx = context.WithoutCancel(ctx)
	for _, of := range []string{name, from} {
		in, open, err := p.store.Intent(ctx, of)
		switch {
		case err != nil:
			return store.Record{}, fmt.Errorf("account %s: read the open attempt: %w", of, err)
		case open && of == name:
			return store.Record{}, fmt.Errorf("attempt %s of account %s: %w; tokenkeeper status %[2]s shows when it is", in.Attempt, of, ErrUnsettled)
		case open && !in.IsMarked():
			return store.Record{}, fmt.Errorf("attempt %s of account %s: %w; its answer would be looked for under that name: put the account back into the "+
				"configuration and reload, and rename it when the attempt is settled", in.Attempt, of, ErrUnsettled)
		}
	}
	if err := before(); err != nil {
		return store.Record{}, err
	}
	if err := store.Made(p.store.Rename(ctx, from, name, rec.Basis()), func() (bool, error) {
		got, err := p.store.Load(ctx, name)
		return err == nil && got.Basis() == rec.Basis(), err
	}); err != nil {
		return store.Record{}, fmt.Errorf("account %s: %w", name, err)
	}
	crashpoint.Here("refresh: an account has its new name")
	return movingIn{a}.moved(ctx, from)
}

// movingIn is an account that goes on with what was stored under another name.
type movingIn struct{ *leased }

// takes says why it can't go on with a record.
func (a movingIn) takes(rec store.Record) error {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if a.stored() {
		return fmt.Errorf("account %s has a token of its own (version %d), which would be lost: %w", a.cfg.Name, a.rec().Version, ErrHasToken)
	}
	if is := a.keeper.cfg.Provider; rec.Provider != "" && rec.Provider != is {
		return fmt.Errorf("%w: account %s is one of provider %s, and %s one of provider %s", ErrGrantedElsewhere, rec.Account, rec.Provider, a.cfg.Name, is)
	}
	if why := a.outlook().forbids(rec); why != "" {
		return fmt.Errorf("%w: account %s can't go on as %s: %s", ErrGrantedElsewhere, rec.Account, a.cfg.Name, why)
	}
	return nil
}

// MovedText is how it is told that an account goes on with the login of from.
func MovedText(from string) string {
	return "the login of account " + from + " goes on under this name"
}

// moved goes on with what has been stored under the account's name.
func (a movingIn) moved(ctx context.Context, from string) (store.Record, error) {
	rec, err := a.keeper.cfg.Store.Load(ctx, a.cfg.Name)
	if err != nil {
		return rec, fmt.Errorf("account %s has what was stored of %s, and it can't be read: %w", a.cfg.Name, from, err)
	}
	a.keeper.mu.Lock()
	a.plan.allowance.known = false // its broker was asked under the name before, too
	a.keeper.mu.Unlock()
	if err := a.keeper.recall(ctx, a.keeper.nature().limits); err != nil {
		return rec, err
	}
	if err := (pausable{a.account}).staysPaused(ctx); err != nil {
		return rec, err
	}
	due := a.renewed(rec)
	a.lookWhenIdle(toBringImport)
	a.Publish(slog.LevelInfo, event.Event{
		Type: event.Imported, From: from, Version: rec.Version, Expiry: rec.Token.Expiry(), Next: due,
		Message: MovedText(from),
	})
	if err := settler(a).settleUnspooled(ctx); err != nil {
		a.Log().Warn("an attempt that was begun under the account's name before can't be settled yet", "before", from, "error", err)
	}
	return rec, nil
}

// Discard frees the spool slot of an attempt, whoever it is of, and whatever it holds.
func (p persons) Discard(ctx context.Context, attempt string) error {
	patience, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	remote := p.loop.awaitProcess(patience, settleTimeout)
	if remote == nil {
		return fmt.Errorf("provider %s: %w; see: tokenkeeper status", p.provider, ErrNoProcess)
	}
	defer p.loop.countOut()
	return remote.Settle(ctx, attempt)
}
