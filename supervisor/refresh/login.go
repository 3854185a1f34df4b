package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Errors of a login.
var (
	// ErrNoProcess: the provider's process does not run just now.
	ErrNoProcess = errors.New("the provider's process does not run now")
	// ErrNoLogin: no login is under way, or the state is another login's.
	ErrNoLogin = errors.New("this is not the answer to the login that was begun last")
)

// forLogin returns the account and its provider, whose generation does not end
// before touchDown.
func (k *Keeper) forLogin(name string) (*account, *sdk.Remote, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	case k.remote == nil:
		return nil, nil, fmt.Errorf("account %s: %w; see: tokenkeeper status", name, ErrNoProcess)
	}
	k.takeOff(a.cfg.Timeout)
	return a, k.remote, nil
}

// CompleteLogin spends the code that the broker gave the person. It is an
// attempt like a refresh: announced, spooled, and never cancelled once it was
// sent. Its error is [ErrAnotherPerson] if the token was stored as a candidate.
func (k *Keeper) CompleteLogin(ctx context.Context, name, state, code string) (store.Record, error) {
	unclaimed, remote, err := k.forLogin(name)
	if err != nil {
		return store.Record{}, err
	}
	defer k.touchDown()
	return unclaimed.completeWith(ctx, remote, state, sdk.NewSecret(code))
}

// completeWith is CompleteLogin of an attempt that counts as being in flight.
func (unclaimed *account) completeWith(ctx context.Context, remote *sdk.Remote, state string, code sdk.Secret) (store.Record, error) {
	s := &spending{state: state, code: code, done: make(chan struct{})}
	a, err := unclaimed.claimWith(ctx, s)
	if err != nil {
		return store.Record{}, err
	}
	if a == nil {
		return s.rec, s.err
	}
	defer a.release()
	a.remote = remote
	return a.complete(context.WithoutCancel(ctx), s)
}

// complete spends a code, and returns the record that has come of it.
func (a *leased) complete(ctx context.Context, s *spending) (store.Record, error) {
	k, name := a.keeper, a.cfg.Name
	k.mu.Lock()
	l := a.openLogin(k.clock.Now().Wall)
	if l == nil || l.State != s.state {
		defer k.mu.Unlock()
		return store.Record{}, a.errNoLogin(l)
	}
	if l.unsettled {
		defer k.mu.Unlock()
		return store.Record{}, a.errUnreadable(k.cfg.Provider)
	}
	l.code = s.code
	a.exchange = l
	k.mu.Unlock()

	if err := a.settleBeforeLogin(ctx); err != nil {
		return store.Record{}, err
	}
	err := a.withShared(ctx, func() error { return a.spendCode(ctx) })
	if err == nil && l.aside {
		err = fmt.Errorf("account %s: %w: %s", name, ErrAnotherPerson, waits(a.rec()))
	}
	if err != nil {
		return store.Record{}, err
	}
	return a.rec(), nil
}

// settleBeforeLogin takes a token that still waits in the spool first: the
// account's slot is needed.
func (a *leased) settleBeforeLogin(ctx context.Context) error {
	in, unfinished := a.state().Unfinished()
	switch {
	case !unfinished && (a.state().IsCut() || a.state().IsAnswered()):
		return fmt.Errorf("account %s: %w: it was lost in the middle of an attempt, which has to be settled first; try again soon", a.cfg.Name, ErrNoProcess)
	case !unfinished:
		a.giveUpUnreadable()
		return nil
	case a.state().IsAnswered():
		return a.attempt(in).run(ctx)
	}
	_ = a.settleShared(ctx, func() error { return a.attempt(in).run(ctx) })
	return nil // whatever it was, it does not keep a person from logging in
}

func (a *leased) spendCode(ctx context.Context) error {
	if err := a.steered(time.Now()); err != nil {
		return fmt.Errorf("account %s: the code was not used: %w", a.cfg.Name, err)
	}
	l := a.exchange
	if err := a.mayLogIn(l.polled()); err != nil {
		return fmt.Errorf("the code was not used: %w", err)
	}
	if l != nil && !a.takesCode(l) { // it was cancelled while the code waited
		return a.errNoLogin(nil)
	}
	a.proveForLogin()
	in := store.Intent{
		Account: a.cfg.Name, Provider: a.keeper.cfg.Provider, Attempt: newAttempt(), Kind: spool.KindExchange,
		Version: a.rec().Version, Grant: a.rec().Grant, At: a.keeper.clock.Now().Wall, Boot: a.keeper.cfg.Boot,
	}
	var err error
	if l != nil {
		in.Login = l.State
		if l.IsGuided() {
			in.Kind = spool.KindLogin
		}
		err = a.noteGiven(ctx, l)
	}
	a.place(&in)
	if err == nil {
		in, err = a.keeper.announceOver(ctx, in)
	}
	if err != nil {
		switch {
		case l == nil:
		case errors.Is(err, store.ErrDisk), l.IsGuided():
			a.goesOn(l)
		default:
			a.giveUp(l.State) // nobody knows whether its code is being spent
		}
		return a.notAnnounced(fmt.Errorf("announce the login, so the code was not used (go on with: tokenkeeper login %s): %w", a.cfg.Name, err))
	}
	crashpoint.Here("refresh: the login's intent stands")
	a.tell(acct.Announced{Intent: in})
	if in.Kind == spool.KindExchange {
		a.closeLogin(in.Login, ErrLoginSpent) // a code is spent once
	}
	return a.attempt(in).run(ctx)
}

// announceOver announces an attempt over whatever stands open. Only if it succeeds
// is the fate of that unimportant: otherwise it is given back. A login that could
// not be ended has nothing of its own to give.
func (k *Keeper) announceOver(ctx context.Context, in store.Intent) (store.Intent, error) {
	standing, open, err := k.cfg.Store.Intent(ctx, in.Account)
	if err != nil {
		return in, err
	}
	if !open {
		return in, k.cfg.Store.Intend(ctx, in)
	}
	if in.Before = &standing; spool.IsLogin(standing.Kind) {
		in.Before = standing.Before
	}
	return in, k.cfg.Store.Replace(ctx, standing.Attempt, in)
}

// exchangeFailed ends a login without a token. The record, if there is one, the
// attempt that stood before, and what is planned, are as they were.
func (a attempt) exchangeFailed(ctx context.Context, cause error) error {
	if err := a.judged(ctx, cause); err != nil {
		return err
	}
	stored, err := a.keeper.cfg.Store.Load(ctx, a.cfg.Name)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = a.keeper.cfg.Store.Abandon(ctx, a.cfg.Name, a.in.Attempt, stored.Health)
	}
	if err != nil {
		return a.diskTrouble(fmt.Errorf("note the failed login: %w", err))
	}
	crashpoint.Here("refresh: the login is abandoned")
	a.keeper.mu.Lock()
	does := a.step(acct.Ended{})
	if _, planned := a.keeper.heap.Due(a.cfg.Name); a.underWay == "" && (does == acct.Again || !planned) {
		a.replan()
	}
	a.keeper.mu.Unlock()
	if a.staysOpen(cause) {
		a.free(ctx, a.in.Attempt)
		return a.goesOnAfter(cause)
	}
	message := a.failedText(cause) + "; begin again with: tokenkeeper login " + a.cfg.Name
	if sdk.KindOf(cause) == sdk.KindAmbiguous {
		message = "the login may have been sent, and no answer came; the broker may have ended the old login with it. " +
			"Begin again with: tokenkeeper login " + a.cfg.Name
	}
	said := a.bare(cause.Error())
	a.publish(slog.LevelError, event.Event{
		Type: event.LoginFailed, Attempt: a.in.Attempt, Kind: string(sdk.KindOf(cause)),
		Message: fmt.Sprintf("%s (%s)", message, said),
	})
	a.free(ctx, a.in.Attempt)
	err = worded{fmt.Sprintf("account %s: %s (%s)", a.cfg.Name, message, said), cause}
	a.overWith(ctx, err)
	return err
}

// errNoLogin refuses a code. open is the login that is open; nil: none is. The caller
// holds k.mu if one is.
func (a *account) errNoLogin(open *login) error {
	const unused = "account %s: the code was not used: %w"
	if open == nil {
		return fmt.Errorf(unused+". No login is open: it was completed, cancelled, or is over; begin again with: tokenkeeper login %[1]s", a.cfg.Name, ErrNoLogin)
	}
	return fmt.Errorf(unused+". That one stays open until %[3]s, and refreshes wait for it: go on with: tokenkeeper login %[1]s, or end it with: tokenkeeper login %[1]s --cancel",
		a.cfg.Name, ErrNoLogin, moment.Stamp(open.Until))
}

// worded is an error in other words, for who is not told by its own what to do.
type worded struct {
	text  string
	cause error
}

func (w worded) Error() string { return w.text }
func (w worded) Unwrap() error { return w.cause }

// challenged says whether the address of a login carries the code challenge
// that it has to: by the digest of the verifier, because who sees the address
// would see a plain one (RFC 7636, section 7.2), and in any case where the
// provider says that the broker demands it.
func challenged(address string, pkce sdk.PKCE) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("gave no address")
	}
	q := u.Query()
	switch {
	case q.Has("code_challenge") && q.Get("code_challenge_method") != "S256":
		return errors.New("would show the code verifier in the address of the login (the code challenge is not of the method S256)")
	case !q.Has("code_challenge") && pkce == sdk.PKCERequired:
		return errors.New("says that its broker demands PKCE, and its address for the login has no code challenge")
	}
	return nil
}

// ErrOtherIssuer: what a person brought back from a login was made by another
// authorization server than the one that he was sent to.
var ErrOtherIssuer = errors.New("the address was made by another authorization server than the one of this login")

// CheckIssuer refuses an issuer that came back with a login of the account which
// is under way (RFC 9207, section 2.4) and is not its authorization server's.
// Where that is not known, or none came back, nothing can be told. The login
// goes on.
func (k *Keeper) CheckIssuer(name, issuer string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	if !ok || a.wish.login == nil || a.wish.login.Issuer == "" || issuer == "" || issuer == a.wish.login.Issuer {
		return nil
	}
	return fmt.Errorf("%w (%s): close that page, and log in at the address that \"tokenkeeper login %s\" gives", ErrOtherIssuer, a.wish.login.Issuer, name)
}
