package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// patience is how long a person may take between the address and the answer.
	patience = 15 * time.Minute
	// longest bounds what a broker says of how long a login may take.
	longest = time.Hour
)

// BeginLogin returns the login that is open, or begins one of a shape; "": the usual
// one of the provider. By is who asks.
func (f *Front) BeginLogin(ctx context.Context, name string, shape sdk.LoginShape, by event.Caller) (Begun, error) {
	if open, ok, err := f.alreadyOpen(name); ok || err != nil {
		if ok && shape != "" && shape != open.Shape {
			return Begun{}, fmt.Errorf("account %s: %w, of the shape %s: go on with: tokenkeeper login %[1]s, or end it with: tokenkeeper login %[1]s --cancel", name, ErrOpen, open.Shape)
		}
		return open, err
	}
	remote, done, err := f.cycle.Serving(ctx, name)
	if err != nil {
		return Begun{}, err
	}
	defer done()
	if err := f.cycle.MayBegin(name); err != nil {
		return Begun{}, err
	}
	a, now := f.cfg.Accounts[name], f.now().Wall
	l := store.Login{
		Account: name, State: rand.Text(), Verifier: sdk.NewSecret(oauth2.GenerateVerifier()),
		At: now, Until: now.Add(patience), By: by, GrantedTo: a.GrantedTo, Config: f.cfg.fingerprint(name, ""),
	}
	has, pkce := f.open.learned()
	if shape, err = has.choose(shape); err != nil {
		return Begun{}, fmt.Errorf("account %s: provider %s: %w", name, f.cfg.Provider, err)
	}
	if has.guides(shape) {
		if err := f.guide(ctx, remote, shape, pkce, &l); err != nil {
			return Begun{}, err
		}
		return f.openWith(ctx, l)
	}
	l.URL, l.Issuer, err = remote.AuthAddress(ctx, sdk.AuthRequest{
		Account: a.Presented(), State: l.State, CodeVerifier: l.Verifier.Reveal(),
	})
	switch {
	case errors.Is(err, sdk.ErrUnimplemented):
		return Begun{}, f.cycle.Loginless(name)
	case err != nil:
		return Begun{}, advice.Within(name, "ask provider "+f.cfg.Provider+" for the address of the login", err)
	}
	if err := challenged(l.URL, pkce); err != nil {
		return Begun{}, fmt.Errorf("account %s: provider %s %w; nothing was begun: tell the author of the provider", name, f.cfg.Provider, err)
	}
	return f.openWith(ctx, l)
}

// alreadyOpen is the login of the account that is open, if one is. While its code is on
// its way, there is an error.
func (f *Front) alreadyOpen(name string) (open Begun, ok bool, err error) {
	if f.known(name) != nil { // who asks for a process says so
		return Begun{}, false, nil
	}
	l := f.open.At(name, f.now().Wall)
	switch {
	case l != nil:
		_, unpolled := f.unpolled(l)
		open := l.Begun(unpolled)
		open.Earlier = true
		return open, true, nil
	case f.cycle.State(name).Exchanges():
		return Begun{}, false, errSpent(name)
	}
	return Begun{}, false, nil
}

// guide lets the provider begin l.
func (f *Front) guide(ctx context.Context, remote *sdk.Remote, shape sdk.LoginShape, demanded sdk.PKCE, l *store.Login) error {
	a := f.cfg.Accounts[l.Account]
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	g, err := remote.BeginLogin(ctx, sdk.BeginLoginRequest{Account: a.Presented(), Shape: shape, State: l.State, CodeVerifier: l.Verifier.Reveal()})
	if err != nil {
		return advice.Within(a.Name, fmt.Sprintf("nothing was begun: let provider %s begin a login of the shape %s", f.cfg.Provider, shape), err)
	}
	if g.Shape = cmp.Or(g.Shape, shape); g.Shape != shape {
		return fmt.Errorf("account %s: provider %s was asked for a login of the shape %s and began another one; nothing was begun: tell the author of the provider",
			a.Name, f.cfg.Provider, shape)
	}
	pkce := sdk.PKCENone
	if bringsAddress(shape) {
		pkce = demanded
	}
	if err := challenged(g.Address, pkce); err != nil {
		return fmt.Errorf("account %s: provider %s %w; nothing was begun: tell the author of the provider", a.Name, f.cfg.Provider, err)
	}
	now := f.now().Wall
	g = belief.Login(g, now)
	if !g.Expires.IsZero() {
		if !now.Before(g.Expires) {
			return fmt.Errorf("account %s: provider %s began a login that was over %s; nothing was begun: is this machine's clock right?",
				a.Name, f.cfg.Provider, moment.Stamp(g.Expires))
		}
		l.Until = moment.Earlier(g.Expires, now.Add(longest))
	}
	if isPolled(shape) {
		last := l.Until.Sub(now) - a.Timeout // it is asked once at least
		g.PollEvery = max(min(cmp.Or(g.PollEvery, pollUsual), last), pollLeast)
	} else {
		g.PollEvery = 0
	}
	l.Guided, l.Config = g, f.cfg.fingerprint(a.Name, shape)
	return nil
}

// openWith makes a login durable, and only then open. If somebody was faster, or an
// earlier one could not be ended yet, it is that one that counts.
func (f *Front) openWith(ctx context.Context, l store.Login) (Begun, error) {
	f.endOver(ctx) // one that is over, by a clock that was set back perhaps
	err := store.Made(f.cfg.Store.PutLogin(ctx, l), func() (bool, error) {
		is, stands, err := f.cfg.Store.Login(ctx, l.Account)
		return err == nil && stands && is.State == l.State, err
	})
	first, earlier := l, errors.Is(err, store.ErrConflict)
	if earlier {
		var stands bool
		if first, stands, err = f.cfg.Store.Login(ctx, l.Account); err == nil && !stands {
			err = errJustEnded
		}
	}
	if err != nil {
		return Begun{}, fmt.Errorf("account %s: the login can't be made durable, so it was not begun: %w", l.Account, err)
	}
	crashpoint.Here("refresh: the begun login is stored")
	f.open.opened(first)
	f.cycle.Plan(l.Account)
	f.open.Wake()
	if earlier { // and may have been ended since the store was asked
		if _, stands, err := f.cfg.Store.Login(ctx, l.Account); err == nil && !stands {
			f.open.Close(l.Account, first.State, errJustEnded)
			return Begun{}, fmt.Errorf("account %s: %w", l.Account, errJustEnded)
		}
	}
	f.cfg.log(l.Account).Info("a login was begun; nothing is refreshed before it is over that lives without that", "until", first.Until, "uid", first.By.UID, "program", first.By.Program)
	open := begun(first)
	open.Earlier = earlier
	return open, nil
}
