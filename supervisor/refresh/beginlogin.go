package refresh

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds a login from its beginning to the moment its code comes. It is
// durable, and one for each account: whoever begins another gets the first one's
// address. While it is open nothing is refreshed that would live without that. It
// ends with the announcement of its exchange, by a person's word, or by itself.

// Errors of a login that is open, or is not.
var (
	// ErrLoginOpen: a refresh waits for the login that a person has begun.
	ErrLoginOpen = errors.New("a login is open")
	// ErrNoOpenLogin: there is none to cancel.
	ErrNoOpenLogin = errors.New("no login is open")
	// ErrLoginSpent: it is too late to cancel one.
	ErrLoginSpent = errors.New("the code of the login is being spent just now")

	errCancelled = errors.New("the login was cancelled")
	errNotInTime = errors.New("the login was not completed in time, and is over")
	errJustEnded = errors.New("the login that was open ended just now; try again")
)

// loginPatience is how long a person may take between the address and the
// answer.
const loginPatience = 15 * time.Minute

// login is a login that a person has begun.
type login struct {
	store.Login
	// code, or what else a person has brought, is set while it is spent.
	code sdk.Secret
	// aside: another person has made it, and so its token waits beside.
	aside bool
	stage loginStage
	polls polling
	// unsettled: it is of an earlier run, and an attempt to end it may stand open.
	unsettled bool
	outcome   *outcome
}

func newLogin(l store.Login) *login {
	return &login{Login: l, outcome: &outcome{id: idOf(l), over: make(chan struct{})}}
}

// loginStage is how far an open login is on its way to its end. It is guarded by the
// keeper's mu.
type loginStage int

const (
	loginWaits  loginStage = iota // for a code, or until it is polled
	loginEnds                     // a person cancels it, which is being made durable
	loginSpends                   // its code is about to be announced
)

// OpenLogin is a login that a person has begun and not completed.
type OpenLogin struct {
	// ID names it, and is no secret.
	ID string
	// URL at which he logs in, UserCode what he types there, and Instructions what else
	// he does; "" in a [Status], or if there is none.
	URL, UserCode, Instructions string
	Shape                       sdk.LoginShape
	// Polled: nothing is handed in; the broker is asked until the person is done.
	Polled bool
	// Unpolled is why, and until when, the broker may not be asked; "": it may.
	Unpolled  string
	At, Until time.Time
	By        event.Caller
	// Earlier: it was begun before it was asked for.
	Earlier bool
}

// BeginLogin returns the login that is open, or begins one of a shape; "": the usual
// one of the provider. By is who asks.
func (k *Keeper) BeginLogin(ctx context.Context, name string, shape sdk.LoginShape, by event.Caller) (OpenLogin, error) {
	if open, ok, err := k.openedLogin(name); ok || err != nil {
		if ok && shape != "" && shape != open.Shape {
			return OpenLogin{}, fmt.Errorf("account %s: %w, of the shape %s: go on with: tokenkeeper login %[1]s, or end it with: tokenkeeper login %[1]s --cancel", name, ErrLoginOpen, open.Shape)
		}
		return open, err
	}
	a, remote, err := k.forLogin(name)
	if err != nil {
		return OpenLogin{}, err
	}
	defer k.touchDown()
	if a.cfg.Shared != nil {
		if err := a.cfg.Shared.Replaceable(); err != nil {
			return OpenLogin{}, fmt.Errorf("account %s: the token of a login would not reach the programs that share it; nothing was begun: %w", name, err)
		}
	}
	if err := a.steered(time.Now()); err != nil {
		return OpenLogin{}, fmt.Errorf("account %s: nothing was begun: %w", name, err)
	}
	if err := a.mayLogIn(""); err != nil {
		return OpenLogin{}, fmt.Errorf("nothing was begun: %w", err)
	}
	now := k.clock.Now().Wall
	l := store.Login{
		Account: name, State: rand.Text(), Verifier: sdk.NewSecret(oauth2.GenerateVerifier()),
		At: now, Until: now.Add(loginPatience), By: by, GrantedTo: GrantedTo(a.cfg.Account), Config: a.configuration(""),
	}
	k.mu.Lock()
	has := k.logins
	k.mu.Unlock()
	if shape, err = has.choose(shape); err != nil {
		return OpenLogin{}, fmt.Errorf("account %s: provider %s: %w", name, k.cfg.Provider, err)
	}
	if guided := len(has.all) > 0 && !(shape == sdk.LoginRedirect && has.redirects); guided {
		if err := a.beginGuided(ctx, remote, shape, &l); err != nil {
			return OpenLogin{}, err
		}
		return a.openWith(ctx, l)
	}
	l.URL, l.Issuer, err = remote.AuthAddress(ctx, sdk.AuthRequest{
		Account: a.cfg.Account, State: l.State, CodeVerifier: l.Verifier.Reveal(),
	})
	switch {
	case errors.Is(err, sdk.ErrUnimplemented):
		return OpenLogin{}, a.errLoginless()
	case err != nil:
		return OpenLogin{}, a.within("ask provider "+k.cfg.Provider+" for the address of the login", err)
	}
	if err := challenged(l.URL, k.Policy().PKCE); err != nil {
		return OpenLogin{}, fmt.Errorf("account %s: provider %s %w; nothing was begun: tell the author of the provider", name, k.cfg.Provider, err)
	}
	return a.openWith(ctx, l)
}

// openWith makes a login durable, and only then open. If somebody was faster, or an
// earlier one could not be ended yet, it is that one that counts.
func (a *account) openWith(ctx context.Context, l store.Login) (OpenLogin, error) {
	k := a.keeper
	k.endLogins(ctx) // one that is over, by a clock that was set back perhaps
	err := k.cfg.Store.PutLogin(ctx, l)
	first, earlier := l, errors.Is(err, store.ErrConflict)
	if earlier {
		var stands bool
		if first, stands, err = k.cfg.Store.Login(ctx, l.Account); err == nil && !stands {
			err = errJustEnded
		}
	}
	if err != nil {
		return OpenLogin{}, fmt.Errorf("account %s: the login can't be made durable, so it was not begun: %w", l.Account, err)
	}
	crashpoint.Here("refresh: the begun login is stored")
	a.opened(first)
	if earlier { // and may have been ended since the store was asked
		if _, stands, err := k.cfg.Store.Login(ctx, l.Account); err == nil && !stands {
			a.closeLogin(first.State, errJustEnded)
			return OpenLogin{}, fmt.Errorf("account %s: %w", l.Account, errJustEnded)
		}
	}
	a.log().Info("a login was begun; nothing is refreshed before it is over that lives without that", "until", first.Until, "uid", first.By.UID, "program", first.By.Program)
	open := openLogin(first)
	open.Earlier = earlier
	return open, nil
}

// opened takes up the login that the store holds.
func (a *account) opened(l store.Login) {
	k := a.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if open := a.wish.login; open == nil || open.State != l.State {
		a.wish.login = newLogin(l)
	}
	k.begun[l.Account] = true
	k.planIdle(a)
	k.signal()
	k.lookAtPolls()
}

// openedLogin is the login of the account that is open, if one is. While its code is on
// its way, there is an error.
func (k *Keeper) openedLogin(name string) (open OpenLogin, ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	if !ok {
		return OpenLogin{}, false, nil
	}
	now := k.clock.Now()
	l := a.openLogin(now.Wall)
	switch {
	case l != nil:
		open := a.shownLogin(l, now)
		open.Earlier = true
		return open, true, nil
	case a.state().Exchanges():
		return OpenLogin{}, false, a.errLoginSpent()
	}
	return OpenLogin{}, false, nil
}

// errLoginSpent is told to who would begin or end a login whose code is on its way.
func (a *account) errLoginSpent() error {
	return fmt.Errorf("account %s: %w; see what becomes of it with: tokenkeeper status", a.cfg.Name, ErrLoginSpent)
}

func openLogin(l store.Login) OpenLogin {
	return OpenLogin{
		ID: idOf(l), URL: cmp.Or(l.URL, l.Guided.Address), UserCode: l.Guided.UserCode, Instructions: l.Guided.Instructions,
		Shape: cmp.Or(l.Guided.Shape, sdk.LoginRedirect), Polled: isPolled(l.Guided.Shape), At: l.At, Until: l.Until, By: l.By,
	}
}

// shownLogin is openLogin, with what keeps it back. The caller holds k.mu.
func (a *account) shownLogin(l *login, now schedule.Instant) OpenLogin {
	open := openLogin(l.Login)
	if err := a.unpolled(l, now); err != nil {
		open.Unpolled = err.Error()
	}
	return open
}

// idOf names a login to whoever waits for it.
func idOf(l store.Login) string { return sdk.NewSecret(l.State).Fingerprint() }

// openLogin is the login that a person has begun and that can be completed; nil:
// there is none. One whose address would be another one by now, or of the future of a
// clock that was set back, can't. The caller holds k.mu.
func (a *account) openLogin(now time.Time) *login {
	l := a.wish.login
	if l == nil || !now.Before(l.Until) || now.Before(l.At.Add(-driftTolerated)) || l.Config != a.configuration(l.Guided.Shape) {
		return nil
	}
	return l
}

// configuration is the fingerprint of what the address of a login is made from: with
// another redirect_url, say, or another provider, no code for it can be used. The
// client secret is none of it, and its JSON is the same for all. Nor is the shape of a
// redirect; an older program takes no guided login for one.
func (a *account) configuration(shape sdk.LoginShape) string {
	b, err := json.Marshal(struct {
		Provider string
		Account  sdk.Account
		Shape    sdk.LoginShape `json:",omitempty"`
	}{a.keeper.cfg.Provider, a.cfg.Account, shape})
	if err != nil { // of strings, and a secret that can be marshalled
		return ""
	}
	return sdk.NewSecret(string(b)).Fingerprint()
}

// loadLogins takes up the logins that were begun in an earlier run.
func (k *Keeper) loadLogins(ctx context.Context) error {
	all, err := k.cfg.Store.Logins(ctx)
	if err != nil {
		return err
	}
	for _, l := range all {
		if a, ok := k.accounts[l.Account]; ok {
			a.wish.login = newLogin(l)
			a.wish.login.unsettled = l.IsGuided()
			k.begun[l.Account] = true
		}
	}
	return nil
}

// heldByLogin is until when the account announces nothing because of its open login;
// zero: it is not held. The caller holds k.mu.
func (a *account) heldByLogin(now time.Time) time.Time {
	if l := a.openLogin(now); l != nil {
		return a.state().HeldBy(l.Until, a.terms(), now)
	}
	return time.Time{}
}

// behindLogin puts off what is due at due as long as the account is held by its open
// login. The caller holds k.mu.
func (a *account) behindLogin(due, now time.Time) time.Time {
	until := a.heldByLogin(now)
	if !due.Before(until) {
		return due
	}
	a.plan.behind = due
	a.pauseFor(promise.LoginOpen, a.loginText())
	return until
}

// waitsForLogin says whether the account would have had its turn by now without its
// open login. The caller holds k.mu.
func (a *account) waitsForLogin(now time.Time) bool {
	return a.plan.pause == promise.LoginOpen && !now.Before(a.plan.behind) && !a.heldByLogin(now).IsZero()
}

// loginText says for people what an account waits for, and what they can do. The
// caller holds k.mu, and a login is open.
func (a *account) loginText() string {
	l := a.wish.login
	return fmt.Sprintf("a login is open, begun %s by user %d: it is refreshed when that is completed, cancelled (tokenkeeper login %s --cancel), "+
		"or over at %s, and before its token dies", l.At.UTC().Format(time.RFC3339), l.By.UID, a.cfg.Name, l.Until.UTC().Format(time.RFC3339))
}

// errLoginOpen is told to who asks for a refresh meanwhile. The caller holds k.mu, and
// a login is open.
func (a *account) errLoginOpen() error {
	return fmt.Errorf("account %s: %w; complete it with: tokenkeeper login %[1]s, end it with: tokenkeeper login %[1]s --cancel, "+
		"or refresh all the same with: tokenkeeper refresh %[1]s --force (%[3]s)", a.cfg.Name, ErrLoginOpen, a.loginText())
}
