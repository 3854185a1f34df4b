package refresh

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds how a new version takes the place of the one that stands.

// renewed goes on with a record that did not come from the server just now, and
// is stored; it returns when that is due: at once if nobody has asked the server
// yet and it is time.
func (a *leased) renewed(rec store.Record) (due time.Time) {
	a.keeper.mu.Lock()
	a.step(acct.Taken{Record: rec})
	a.desk().doubt = ""
	a.replan()
	due, _ = a.plan.due()
	a.keeper.mu.Unlock()
	a.Over(event.DiskTrouble)
	a.endFound(rec)
	a.keeper.cfg.Wake(a.cfg.Name)
	return due
}

// endFound ends what was told of a token that was found and refused, when a person has
// brought another one, or one was minted.
func (a *leased) endFound(rec store.Record) {
	if rec.Origin == store.OriginLogin || rec.Origin == store.OriginImport || rec.Origin == store.OriginMint {
		a.Over(event.FoundRefused)
	}
}

// finder is an account that takes tokens which were found elsewhere.
type finder struct{ *leased }

// find is a token that was found somewhere, of which nobody knows whether it
// lives.
type find struct {
	token          sdk.Token
	parent         string    // the fingerprint of what it was obtained with; "": not known
	loginAt        time.Time // zero: not known
	loginUncertain bool
	otherLogin     bool // it is not known to be of the record's login
	origin         store.Origin
	grantedTo      store.GrantedTo // zero: to whom the account belongs as it is configured
	// where says for people what held it, and message how it came there.
	where, message string
}

// takeFound stores what another program wrote as the account's newest version.
// where says for people what held it.
func (a finder) takeFound(ctx context.Context, d format.Document, origin store.Origin, where string) error {
	f := a.keeper.Foreign(d)
	return a.take(ctx, find{
		token: f.Token, loginAt: f.LoginAt, loginUncertain: d.LoginUncertain, origin: origin, where: where,
		message: "a newer token was taken from " + where + ": another program has refreshed this grant, or logged in",
	})
}

// take stores a find as the account's newest version, behind which stands what
// it took the place of, until the broker has taken it.
func (a finder) take(ctx context.Context, f find) error {
	rec := a.next(f.token, f.origin, "", a.keeper.clock.Now().Wall)
	rec.Account, rec.Provider = a.cfg.Name, a.keeper.cfg.Provider
	rec.Before, rec.FoundIn = a.unproven(rec.Token), f.where
	if g := f.grantedTo; g.Client != "" {
		g.Person = rec.GrantedTo.Person
		rec.GrantedTo = g
	}
	rec.Spend(f.parent)
	a.trim(&rec)
	switch {
	case f.otherLogin:
		rec.LoginAt, rec.LoginUncertain = f.loginAt, f.loginUncertain
	case !f.loginAt.IsZero():
		rec.LoginAt, rec.LoginUncertain = toldLogin(a.rec(), f.token, f.loginAt, f.loginUncertain, a.keeper.Policy())
	}
	noteEnds(&rec, a.keeper.Policy())
	first := !a.stored()
	if err := a.replaceGrant(ctx, &rec); err != nil {
		return a.diskTrouble(fmt.Errorf("store the token found in %s: %w", f.where, err))
	}
	crashpoint.Here("shared: adopted")
	due := a.renewed(rec)
	if first {
		f.message = "the first token was taken from " + f.where
	}
	a.Publish(slog.LevelInfo, event.Event{
		Type: event.Adopted, Version: rec.Version, Expiry: rec.Token.Expiry(), Next: due, Message: f.message,
	})
	return nil
}

// commit makes rec the account's newest version, and finds out whether it is where the
// store does not say so.
func commit(ctx context.Context, s store.Store, rec store.Record) error {
	return store.Made(s.Commit(ctx, rec), func() (bool, error) {
		got, err := s.Load(ctx, rec.Account)
		return err == nil && !got.Held && got.Basis() == rec.Basis() && got.Attempt == rec.Attempt &&
			got.Token.RefreshToken.Equal(rec.Token.RefreshToken) && got.Token.AccessToken.Equal(rec.Token.AccessToken), err
	})
}

// storeHeld stores the version that is served from memory before another one is
// stored: sinks have it under its number.
func (a *leased) storeHeld(ctx context.Context) error {
	held := a.state().Held()
	if held == nil {
		return nil
	}
	rec := *held
	rec.Held = false
	if err := commit(ctx, a.keeper.cfg.Store, rec); err != nil {
		return fmt.Errorf("account %s: store the token that is served from memory, before another takes its place: %w", a.cfg.Name, err)
	}
	ended := a.state().Ends()
	a.tell(acct.Stored{Record: rec})
	a.keeper.open.Close(a.cfg.Name, ended, nil)
	a.desk().unfreed = append(a.desk().unfreed, rec.Attempt) // before the next attempt
	return nil
}

// replaceGrant commits rec over whatever attempt of its account stands open: a new grant
// makes the old one's fate unimportant, unless it has sent what rec has, which stays
// open, and rec keeps what is known of that. A login that such an attempt was to end is over.
func (a finder) replaceGrant(ctx context.Context, rec *store.Record) error {
	in, open, err := a.keeper.cfg.Store.Intent(ctx, rec.Account)
	if err != nil {
		return fmt.Errorf("account %s: read the open attempt: %w", rec.Account, err)
	}
	if open {
		rec.Attempt = in.Attempt
		if in.LeftBy(*rec) != nil {
			rec.Health, rec.Health.NeedsLogin = a.rec().Health, ""
		}
	}
	if err := commit(ctx, a.keeper.cfg.Store, *rec); err != nil {
		return fmt.Errorf("account %s: store the token: %w", rec.Account, err)
	}
	a.keeper.open.Close(rec.Account, in.Login, login.ErrReplaced)
	return nil
}
