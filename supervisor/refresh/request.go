package refresh

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// persons are what people ask for an account.
type persons struct {
	provider string
	known    *acquaintance
	store    store.Store
	clock    *schedule.Clock
	loop     *loop
	accounts byName
	// forLogin returns an account in which somebody logs in, and the process that ends
	// that; it counts as being in flight.
	forLogin func(ctx context.Context, name string) (*account, *sdk.Remote, error)
}

// Refresh makes the account due now if it needs it (or with force in any
// case, also in place of an unknown token in its shared file), and waits for the outcome. It returns whether a refresh was made;
// without force an account that is not due yet and has no failure is left
// alone. While the provider's process is down it waits, as long as ctx does.
func (p persons) Refresh(ctx context.Context, name string, force bool) (bool, error) {
	p.loop.lock.Lock()
	a, ok := p.accounts[name]
	var err error
	switch {
	case !ok:
		err = fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	case force:
		err = p.hopeless(a)
	default:
		if err = p.hindered(a); err == nil {
			err = p.waitsFor(a)
		}
	}
	if err != nil || !force && !a.guard.Taken() && a.rec().Health.Failures == 0 && !a.plan.isDue() {
		p.loop.lock.Unlock()
		return false, err
	}
	outcome := p.wants(a, asker{}, force)
	p.loop.lock.Unlock()
	err = p.await(ctx, name, outcome)
	return err == nil, err
}

// hopeless is why no refresh can bring the account a token, whoever insists. The caller
// holds k.mu.
func (p persons) hopeless(a *account) error {
	switch {
	case !a.stored() && a.share == nil && a.rec().Key == "":
		return fmt.Errorf("account %s: %w: %s", a.cfg.Name, ErrNoToken, a.say.anew().First())
	case a.rec().Way == store.WayLogin:
		return a.say.errLoginsOnly()
	}
	return nil
}

// hindered is why the account is not refreshed before something else has happened, unless
// somebody insists. The caller holds k.mu.
func (p persons) hindered(a *account) (err error) {
	switch hopeless := p.hopeless(a); {
	case hopeless != nil:
		return hopeless
	case a.outlook().ended():
		return a.say.needs(": its login ended " + moment.Stamp(a.rec().RefreshExpiry) + "; " + a.say.anew().With(""))
	case a.rec().NeedsLogin() && (a.stored() || a.rec().Key != ""):
		return a.say.errNeeds(a.rec())
	case a.isPaused():
		return pausable{a}.err()
	case a.state().Ambiguous() != nil && !a.guard.Taken() && !a.plan.isDue():
		a.ifIdle(func(a *leased) { err = unknown{a}.heldBack() })
	}
	return err
}

// waitsFor is what an account waits for that would have had its turn by now. The caller
// holds k.mu.
func (p persons) waitsFor(a *account) error {
	now, l := p.clock.Now(), limited{a}
	switch {
	case l.waits(now.Wall):
		return l.err(l.held(a.outlook().kind(), false, now), now)
	case (loginWait{a}).waits(now.Wall):
		return loginWait{a}.err()
	}
	return nil
}

// wants lets somebody wait for a refresh, and gives the account its turn. The caller holds
// k.mu.
func (p persons) wants(a *account, who asker, insisted bool) (outcome <-chan error) {
	outcome = a.wish.ask(who, insisted)
	if !a.guard.Taken() && !a.state().IsCut() {
		now := p.clock.Now()
		a.plan.dueAt(now.Wall, now)
	}
	return outcome
}

// await waits for the outcome of a refresh that somebody wants.
func (p persons) await(ctx context.Context, name string, outcome <-chan error) error {
	p.loop.signal()
	select {
	case err := <-outcome:
		return err
	case <-p.loop.over:
		return p.loop.retired(name)
	case <-ctx.Done():
		return fmt.Errorf("account %s: the refresh has not ended yet; it goes on: %w", name, ctx.Err())
	}
}

// Postpone keeps an account from becoming due by itself before a moment, for
// when its refresh token may be spent and a better one is asked for elsewhere.
// The zero time ends that. A person's refresh is made all the same, and an
// attempt that stands open is settled.
func (k *Keeper) Postpone(name string, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	if !ok || a.wish.notBefore.Equal(until) {
		return
	}
	a.wish.notBefore = until
	planAnew(a)
	k.signal()
}

// grantOf is the account's grant as it is stored now.
func (p persons) grantOf(name string) uint64 {
	p.loop.lock.Lock()
	defer p.loop.lock.Unlock()
	if a, ok := p.accounts[name]; ok {
		return a.rec().Grant
	}
	return 0
}

// Import stores a token that came from outside as the account's newest. What
// rec leaves open (its version, history, refresh expiry, and the origin: an
// import) is filled in. With an existing token that still works it fails with
// [ErrHasToken] unless force is given, and with [ErrNotNewer] if its refresh token
// is one that the account is known to have used up; a failed import changes
// nothing. One that is another account's is never taken: [ErrOtherAccount]. If
// rec.Version is not 0 and the next one is another by now, it fails so too,
// with force or without. So does, with [ErrNotNewer], one with which the standing token
// was obtained, while that works: it would be lost. Whoever gave force saw what stood
// before, and the import may have waited for its turn: a login that is newer than this
// one, and came meanwhile, is not replaced, either. [ErrUnsettled]: an attempt has sent
// the very refresh token that is imported, and nobody knows whether that is used up; with
// force that stays as unknown as it was.
func (p persons) Import(ctx context.Context, rec store.Record, force bool) (store.Record, error) {
	seen := p.grantOf(rec.Account)
	a, err := p.accounts.claim(ctx, rec.Account)
	if err != nil {
		return store.Record{}, err
	}
	defer a.release()
	if is := a.rec(); is.Grant != seen && !is.LoginUncertain && !rec.LoginAt.IsZero() && is.LoginAt.After(rec.LoginAt) {
		return store.Record{}, fmt.Errorf("account %s: %w: a login of %s has been stored while this one waited (version %d); nothing was changed. "+
			"Give --force to replace that", rec.Account, ErrNotNewer, moment.Stamp(is.LoginAt), is.Version)
	}
	p.loop.lock.Lock()
	over := !a.stored() || a.rec().NeedsLogin() || a.outlook().died() || a.outlook().ended()
	p.loop.lock.Unlock()
	if !force {
		if err := (finder{a}).unsettled(ctx, a.next(rec.Token, cmp.Or(rec.Origin, store.OriginImport), "", p.clock.Now().Wall)); err != nil {
			return store.Record{}, err
		}
	}
	if !over && !force {
		return store.Record{}, fmt.Errorf("account %s: %w (version %d); give --force to replace it", rec.Account, ErrHasToken, a.rec().Version)
	}
	if err := a.storeHeld(ctx); err != nil {
		return store.Record{}, err
	}
	if rec.Version != 0 && rec.Version != a.rec().Version+1 {
		return store.Record{}, fmt.Errorf("account %s: %w (version %d, which came meanwhile)", rec.Account, ErrHasToken, a.rec().Version)
	}
	if err := (finder{a}).fit(rec.Token, force, over); err != nil {
		return store.Record{}, err
	}
	next := a.next(rec.Token, cmp.Or(rec.Origin, store.OriginImport), "", p.clock.Now().Wall)
	next.Account, next.Provider = rec.Account, p.provider
	next.LoginAt, next.LoginUncertain = toldLogin(a.rec(), rec.Token, rec.LoginAt, rec.LoginUncertain, p.known.Policy())
	sameLogin := rec.LoginAt.IsZero() && (rec.Version != 0 || rec.Token.RefreshToken.Equal(a.rec().Token.RefreshToken))
	if sameLogin {
		next.LoginAt, next.LoginUncertain = a.rec().LoginAt, a.rec().LoginUncertain
	}
	if next.Origin == store.OriginRestore {
		next.Before = finder{a}.unproven(next.Token)
	}
	noteEnds(&next, p.known.Policy())
	if err := (finder{a}).replaceGrant(ctx, &next); err != nil {
		return store.Record{}, err
	}
	a.renewed(next)
	a.lookWhenIdle(toBringImport)
	a.Publish(slog.LevelInfo, event.Event{
		Type: event.Imported, Version: next.Version, Expiry: next.Token.Expiry(), Message: "token imported",
	})
	return next, nil
}

// unsettled says why rec must not be imported yet: an attempt has sent its refresh token,
// of which nobody knows the outcome.
func (a finder) unsettled(ctx context.Context, rec store.Record) error {
	in, open, err := a.keeper.cfg.Store.Intent(ctx, a.cfg.Name)
	if err != nil {
		return fmt.Errorf("account %s: read the open attempt: %w", rec.Account, err)
	}
	left := in.LeftBy(rec)
	if !open || left == nil {
		return nil
	}
	return fmt.Errorf("account %s: %w: an attempt begun %s has sent this very token, which may be used up, and nothing is won by importing it. "+
		"Wait for the outcome (tokenkeeper status shows it)%s, or give --force to take the file's token all the same: the outcome stays unknown then",
		a.cfg.Name, ErrUnsettled, moment.Stamp(cmp.Or(left.AmbiguousSince, left.At)), a.say.orLogin())
}

// fit says why a token must not be imported; force is a person's word that the
// account shall have it all the same. over: what it has does not work any more.
func (a finder) fit(t sdk.Token, force, over bool) error {
	name := a.cfg.Name
	_, j := a.compare(format.Document{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, IssuedAt: t.IssuedAt, Expiry: t.Expiry()})
	switch {
	case j.Left != "" && !force:
		return fmt.Errorf("account %s: %w: the refresh token is, or was, that of %s, which is in the store and in no configuration; nothing was changed: "+
			"%s; or give --force to take it all the same", name, ErrOtherAccount, j.Owner, j.Renamed(name))
	case j.Verdict == lineage.OtherAccount && j.Left == "":
		return fmt.Errorf("account %s: %w: the refresh token is, or was, that of %s; nothing was changed. Import this account's own file%s",
			name, ErrOtherAccount, j.Owner, a.say.orLogin())
	case force && !over && j.Verdict == lineage.Past && t.RefreshToken.Fingerprint() == a.rec().Parent:
		return fmt.Errorf("account %s: %w: version %d was obtained with it, and works; nothing is left to do for it",
			name, ErrNotNewer, a.rec().Version)
	case force:
		return nil
	case j.Verdict == lineage.Past:
		return fmt.Errorf("account %s: %w: it is one that version %d or one before it has replaced, and would not work; give --force to take it all the same",
			name, ErrNotNewer, a.rec().Version)
	case j.Verdict == lineage.Refused:
		return fmt.Errorf("account %s: %w: the server has refused this very refresh token; import another one%s, or give --force to take it all the same",
			name, ErrNotNewer, a.say.orLogin())
	}
	return nil
}
