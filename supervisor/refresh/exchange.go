package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds the attempt that ends a login: it spends the code that a person has
// brought, or what else was handed in, or asks whether the person is done.

// CompleteLogin spends the code that the broker gave the person. It is an
// attempt like a refresh: announced, spooled, and never cancelled once it was
// sent. Its error is [ErrAnotherPerson] if the token was stored as a candidate.
func (p persons) CompleteLogin(ctx context.Context, name, state, code string) (store.Record, error) {
	unclaimed, remote, err := p.forLogin(ctx, name)
	if err != nil {
		return store.Record{}, err
	}
	defer p.loop.countOut()
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
	return loggingIn{a}.complete(context.WithoutCancel(ctx), s)
}

// loggingIn is an account in which somebody logs in.
type loggingIn struct{ *leased }

// complete spends a code, and returns the record that has come of it.
func (a loggingIn) complete(ctx context.Context, s *spending) (store.Record, error) {
	k, name := a.keeper, a.cfg.Name
	l := k.open.At(name, k.clock.Now().Wall)
	if l == nil || l.State != s.state {
		return store.Record{}, login.NotTaken(name, l)
	}
	if l.IsUnsettled() {
		return store.Record{}, a.say.errUnreadable()
	}
	s.login = l
	a.exchange = s

	if err := a.settleBeforeLogin(ctx); err != nil {
		return store.Record{}, err
	}
	err := sharer(a).withShared(ctx, toLogIn, func() error { return a.spendCode(ctx) })
	if err == nil && s.aside {
		err = fmt.Errorf("account %s: %w: %s", name, ErrAnotherPerson, waits(a.rec()))
	}
	if err != nil {
		return store.Record{}, err
	}
	return a.rec(), nil
}

// settleBeforeLogin takes a token that still waits in the spool first: the
// account's slot is needed.
func (a loggingIn) settleBeforeLogin(ctx context.Context) error {
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
	_ = sharer(a).settleShared(ctx, func() error { return a.attempt(in).run(ctx) })
	return nil // whatever it was, it does not keep a person from logging in
}

func (a loggingIn) spendCode(ctx context.Context) error {
	if err := a.steered(time.Now()); err != nil {
		return fmt.Errorf("account %s: the code was not used: %w", a.cfg.Name, err)
	}
	l := a.exchange.login
	if err := (limited{a.account}).mayLogIn(l.Poll); err != nil {
		return fmt.Errorf("the code was not used: %w", err)
	}
	if !l.Spends() { // it was cancelled while the code waited
		return login.NotTaken(a.cfg.Name, nil)
	}
	a.share.ProveForLogin()
	in := store.Intent{
		Account: a.cfg.Name, Provider: a.keeper.cfg.Provider, Attempt: newAttempt(), Kind: spool.KindExchange, Login: l.State,
		Version: a.rec().Version, Grant: a.rec().Grant, Secret: presented{a.account}.next(), At: a.keeper.clock.Now().Wall, Boot: a.keeper.cfg.Boot,
	}
	if l.Guided {
		in.Kind = spool.KindLogin
	}
	err := l.Give(ctx, a.exchange.code)
	a.fill(&in)
	if err == nil {
		in, err = announceOver(ctx, a.keeper.cfg.Store, in)
	}
	if err != nil {
		if errors.Is(err, store.ErrDisk) || l.Guided {
			l.GoesOn()
		} else {
			a.keeper.open.GiveUp(a.cfg.Name, l.State) // nobody knows whether its code is being spent
		}
		return a.notAnnounced(fmt.Errorf("announce the login, so the code was not used (go on with: tokenkeeper login %s): %w", a.cfg.Name, err))
	}
	crashpoint.Here("refresh: the login's intent stands")
	a.tell(acct.Announced{Intent: in})
	if in.Kind == spool.KindExchange {
		a.keeper.open.Close(a.cfg.Name, in.Login, login.ErrSpent) // a code is spent once
	}
	return a.attempt(in).run(ctx)
}

// announceOver announces an attempt over whatever stands open. Only if it succeeds
// is the fate of that unimportant: otherwise it is given back. A login that could
// not be ended has nothing of its own to give.
func announceOver(ctx context.Context, s store.Store, in store.Intent) (store.Intent, error) {
	standing, open, err := s.Intent(ctx, in.Account)
	if err != nil {
		return in, err
	}
	if !open {
		return in, s.Intend(ctx, in)
	}
	if in.Before = &standing; spool.IsLogin(standing.Kind) {
		in.Before = standing.Before
	}
	return in, s.Replace(ctx, standing.Attempt, in)
}

// exchange is an attempt that ends a login.
type exchange struct{ attempt }

// ending is the guided login that the attempt ends; ok is false if nobody knows it any
// more. What an attempt that is over has left in the spool is read with the one that
// is open.
func (a exchange) ending() (l store.Login, ok bool) {
	known := []*login.Login{a.keeper.open.Last(a.cfg.Name)}
	if a.exchange != nil {
		known = []*login.Login{a.exchange.login, known[0]}
	}
	for _, l := range known {
		if l != nil && l.Guided && (a.in.Login == "" || l.State == a.in.Login) {
			return l.Stored(), true
		}
	}
	return store.Login{}, false
}

// polls says whether the attempt asks whether a person is done.
func (a exchange) polls() bool {
	l, ok := a.ending()
	return ok && a.in.Kind == spool.KindLogin && login.IsPolled(l)
}

// request is what the provider is asked that ends a guided login.
func (a exchange) request(id sdk.Attempt) sdk.EndLoginRequest {
	req := sdk.EndLoginRequest{Attempt: id, Account: presented{a.account}.with(a.in.Secret)}
	if l, ok := a.ending(); ok {
		req.Login, req.Given = l.Guided, l.Given
	}
	return req
}

// failed ends a login without a token. The record, if there is one, the
// attempt that stood before, and what is planned, are as they were.
func (a exchange) failed(ctx context.Context, cause error) error {
	if err := a.judged(ctx, cause); err != nil {
		return err
	}
	_ = secretRefused(a).noted(cause) // the next login presents another one; a code is spent once
	stored, err := a.keeper.cfg.Store.Load(ctx, a.cfg.Name)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = a.storeEnd(ctx, a.in.Attempt, stored.Basis(), stored.Health)
	}
	if err != nil {
		return a.diskTrouble(fmt.Errorf("note the failed login: %w", err))
	}
	crashpoint.Here("refresh: the login is abandoned")
	a.keeper.mu.Lock()
	does := a.step(acct.Ended{})
	if _, planned := a.plan.due(); a.underWay == "" && (does == acct.Again || !planned) {
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
	said := a.say.bare(cause.Error())
	a.Publish(slog.LevelError, event.Event{
		Type: event.LoginFailed, Attempt: a.in.Attempt, Kind: string(sdk.KindOf(cause)),
		Message: fmt.Sprintf("%s (%s)", message, said),
	})
	a.free(ctx, a.in.Attempt)
	err = advice.Worded(fmt.Sprintf("account %s: %s (%s)", a.cfg.Name, message, said), cause)
	a.over(ctx, err)
	return err
}

// staysOpen says whether the login that the attempt was to end goes on after that
// failure. One that is polled does unless the broker, or our configuration, has ended
// it; what a person has handed in may be spent, and is not sent twice. A post may be
// anybody's: that one was no good ends no login, and the true one may be on its way.
func (a exchange) staysOpen(cause error) bool {
	l, ok := a.ending()
	if a.in.Kind != spool.KindLogin || !ok {
		return false
	}
	kind, posted := sdk.KindOf(cause), l.Guided.Shape == sdk.LoginCallback
	switch kind {
	case sdk.KindNotSent:
		return true
	case sdk.KindInvalidClient:
		return false
	case sdk.KindInvalidGrant:
		return posted
	}
	return posted || login.IsPolled(l)
}

// goesOnAfter lets the login wait again, and says what has happened to it.
func (a exchange) goesOnAfter(cause error) error {
	name, kind := a.cfg.Name, sdk.KindOf(cause)
	l := a.keeper.open.Of(name, a.in.Login)
	if l == nil || !l.GoesOn() {
		return a.say.of(cause)
	}
	if kind == sdk.KindAmbiguous {
		l.LostPoll(a.in.At)
	}
	not := "taken"
	if kind == sdk.KindNotSent {
		not = "sent"
	}
	a.keeper.open.Wake()
	switch {
	case kind == sdk.KindPending:
		return a.say.of(cause)
	case l.Poll != "":
		a.Log().Info("the broker could not be asked whether the login is done; it is asked again", "attempt", a.in.Attempt, "error", cause)
		return a.say.of(cause)
	}
	a.Log().Warn("what was handed in for a login was not "+not+"; the login stays open", "attempt", a.in.Attempt, "error", cause)
	return advice.Worded(fmt.Sprintf("account %s: what was handed in was not %s (%s); the login stays open: go on with: tokenkeeper login %[1]s", name, not, a.say.bare(cause.Error())), cause)
}

// saidNo says to people how a broker has ended a login that it was asked about, by
// word of the person or of its clock (RFC 8628, section 3.5); "": it did not.
func saidNo(cause error) string {
	if e, ok := errors.AsType[*sdk.Error](cause); ok {
		switch e.OAuthError {
		case "access_denied":
			return "the login was declined at the broker"
		case "expired_token":
			return "the login was not approved in time"
		}
	}
	return ""
}

// failedText says to people how a login has failed.
func (a exchange) failedText(cause error) string {
	if said := saidNo(cause); said != "" {
		return said
	}
	if l := a.keeper.open.Of(a.cfg.Name, a.in.Login); l != nil && !l.Lost().IsZero() && sdk.KindOf(cause) == sdk.KindInvalidGrant {
		return "the login failed, most likely because an earlier answer to it was lost (" + moment.Stamp(l.Lost()) + ")"
	}
	switch kind := sdk.KindOf(cause); {
	case kind == sdk.KindInvalidGrant && a.in.Kind == spool.KindExchange:
		return "the login failed, because the broker did not take its code, which works once and dies soon; the account is as it was"
	case kind == sdk.KindInvalidGrant, kind == sdk.KindInvalidClient, kind == sdk.KindRateLimited, kind == sdk.KindNotSent:
		return "the login failed, and the account is as it was"
	}
	return "the login failed" // and nobody knows what the broker has made of the one before
}

// over ends the guided login of the attempt, which has failed for that reason.
func (a exchange) over(ctx context.Context, why error) {
	if a.in.Kind == spool.KindLogin && a.in.Login != "" {
		a.keeper.open.Drop(ctx, a.cfg.Name, a.in.Login, why)
	}
}
