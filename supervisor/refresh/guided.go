package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds the logins that a [sdk.LoginGuide] begins and ends. To end one is an
// attempt as the exchange of a code is; what differs is that the login stays open in
// the store until its token is, so that a person who is not done yet, and a death in
// the middle, leave it as it was.

// Errors of the shapes of a login.
var (
	// ErrNoShape: the provider has no login of that shape, or nobody here knows it.
	ErrNoShape = errors.New("there is no such login")
	// ErrNothingToHandIn: the login that is open goes on by itself.
	ErrNothingToHandIn = errors.New("this login takes nothing from a person")
)

const (
	// longestLogin bounds what a broker says of how long a login may take.
	longestLogin = time.Hour
	// pollUsual is for a login of which nobody says how often it is polled (RFC 8628,
	// section 3.5).
	pollUsual = 5 * time.Second
	pollLeast = time.Second
	// pollMost is the longest pause for a broker that can't be asked and does not want
	// a longer one.
	pollMost = time.Minute
)

// loginShapes are the shapes of login that a provider has.
type loginShapes struct {
	all []sdk.LoginShape // the usual one first
	// redirects: its redirect is that of an [sdk.Authorizer].
	redirects bool
}

// LoginShapes are the shapes of login that a provider has, the usual one first.
func LoginShapes(d sdk.Description) []sdk.LoginShape { return shapesOf(d).all }

func shapesOf(d sdk.Description) loginShapes {
	s := loginShapes{redirects: d.Authorizer}
	if d.Authorizer {
		s.all = append(s.all, sdk.LoginRedirect)
	}
	if d.LoginGuide {
		for _, shape := range d.Logins {
			if !slices.Contains(s.all, shape) {
				s.all = append(s.all, shape)
			}
		}
	}
	return s
}

// choose returns the shape that is wanted, or the first that works here; a callback
// only if there is no other, because a person has to receive it. One that says nothing
// of its logins is asked for a redirect.
func (s loginShapes) choose(want sdk.LoginShape) (sdk.LoginShape, error) {
	switch {
	case want == "" && len(s.all) == 0:
		return sdk.LoginRedirect, nil
	case want != "" && !slices.Contains(s.all, want):
		return "", fmt.Errorf("%w of the shape %q; it has: %s", ErrNoShape, want, cmp.Or(s.list(), "none"))
	case want != "" && !worksHere(want):
		return "", fmt.Errorf("%w here: this Tokenkeeper does not know the shape %s; a newer one may", ErrNoShape, want)
	case want != "":
		return want, nil
	}
	if n := slices.IndexFunc(s.all, func(shape sdk.LoginShape) bool { return worksHere(shape) && shape != sdk.LoginCallback }); n >= 0 {
		return s.all[n], nil
	}
	if slices.Contains(s.all, sdk.LoginCallback) {
		return sdk.LoginCallback, nil
	}
	return "", fmt.Errorf("%w here: this Tokenkeeper knows none of its shapes (%s); a newer one may", ErrNoShape, s.list())
}

func (s loginShapes) list() string {
	names := make([]string, len(s.all))
	for n, shape := range s.all {
		names[n] = string(shape)
	}
	return strings.Join(names, ", ")
}

// worksHere says whether a login of that shape can be ended.
func worksHere(shape sdk.LoginShape) bool {
	switch shape {
	case sdk.LoginRedirect, sdk.LoginPasteAddress, sdk.LoginPasteToken, sdk.LoginVerifier, sdk.LoginCallback:
		return true
	}
	return isPolled(shape)
}

// isPolled says whether the broker is asked again and again whether the person is done.
func isPolled(shape sdk.LoginShape) bool {
	return shape == sdk.LoginDevice || shape == sdk.LoginApproval
}

// bringsAddress says whether the person comes back with the address of the browser.
func bringsAddress(shape sdk.LoginShape) bool {
	return shape == sdk.LoginRedirect || shape == sdk.LoginPasteAddress
}

// beginGuided lets the provider begin l.
func (a *account) beginGuided(ctx context.Context, remote *sdk.Remote, shape sdk.LoginShape, l *store.Login) error {
	k := a.keeper
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	g, err := remote.BeginLogin(ctx, sdk.BeginLoginRequest{Account: a.cfg.Account, Shape: shape, State: l.State, CodeVerifier: l.Verifier.Reveal()})
	if err != nil {
		return a.within(fmt.Sprintf("nothing was begun: let provider %s begin a login of the shape %s", k.cfg.Provider, shape), err)
	}
	if g.Shape = cmp.Or(g.Shape, shape); g.Shape != shape {
		return fmt.Errorf("account %s: provider %s was asked for a login of the shape %s and began another one; nothing was begun: tell the author of the provider",
			a.cfg.Name, k.cfg.Provider, shape)
	}
	pkce := sdk.PKCENone
	if bringsAddress(shape) {
		pkce = k.Policy().PKCE
	}
	if err := challenged(g.Address, pkce); err != nil {
		return fmt.Errorf("account %s: provider %s %w; nothing was begun: tell the author of the provider", a.cfg.Name, k.cfg.Provider, err)
	}
	now := k.clock.Now().Wall
	if !g.Expires.IsZero() {
		if !now.Before(g.Expires) {
			return fmt.Errorf("account %s: provider %s began a login that was over %s; nothing was begun: is this machine's clock right?",
				a.cfg.Name, k.cfg.Provider, moment.Stamp(g.Expires))
		}
		l.Until = moment.Earlier(g.Expires, now.Add(longestLogin))
	}
	if isPolled(shape) {
		last := l.Until.Sub(now) - a.cfg.Timeout // it is asked once at least
		g.PollEvery = max(min(cmp.Or(g.PollEvery, pollUsual), last), pollLeast)
	} else {
		g.PollEvery = 0
	}
	l.Guided, l.Config = g, a.configuration(shape)
	return nil
}

// IsGuided says whether a login is open, and whether what a person brings for it is
// handed in as it is, with [Keeper.HandIn].
func (k *Keeper) IsGuided(name string) (guided, open bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	if !ok {
		return false, false
	}
	l := a.openLogin(k.clock.Now().Wall)
	return l != nil && l.IsGuided(), l != nil
}

// HandIn ends the guided login that is open with what the person was given: an
// address, a token, a verifier, what the broker has posted to the person. Its errors
// are those of [Keeper.CompleteLogin].
func (k *Keeper) HandIn(ctx context.Context, name string, given sdk.Secret) (store.Record, error) {
	state, err := k.takes(name, given)
	if err != nil {
		return store.Record{}, err
	}
	return k.CompleteLogin(ctx, name, state, given.Reveal())
}

// takes returns the state of the open login, if it takes what is given.
func (k *Keeper) takes(name string, given sdk.Secret) (state string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	l := a.openLogin(k.clock.Now().Wall)
	switch {
	case l == nil || !l.IsGuided():
		return "", a.errNoLogin(l)
	case isPolled(l.Guided.Shape):
		return "", fmt.Errorf("account %s: %w: the broker is asked until the person is done; wait for it with: tokenkeeper login %s", name, ErrNothingToHandIn, name)
	case bringsAddress(l.Guided.Shape) && !answers(given, l.Login):
		return "", a.errNoLogin(l)
	}
	return l.State, nil
}

// answers says whether an address answers that login: its state is what keeps another
// person's code from being taken for ours (RFC 6749, section 10.12). A broker that was
// not given one sends none.
func answers(given sdk.Secret, l store.Login) bool {
	asked, err := url.Parse(l.Guided.Address)
	if err != nil || asked.Query().Get("state") != l.State {
		return true
	}
	got, err := url.Parse(given.Reveal())
	return err == nil && slices.Equal(got.Query()["state"], []string{l.State})
}

// noteGiven makes durable what the person has handed in, before it is announced that
// it is spent.
func (a *leased) noteGiven(ctx context.Context, l *login) error {
	if !l.IsGuided() || l.code.IsZero() {
		return nil
	}
	a.keeper.mu.Lock()
	l.Given = l.code
	noted := l.Login
	a.keeper.mu.Unlock()
	return a.keeper.cfg.Store.PutLogin(ctx, noted)
}

// ending is the guided login that the attempt ends; ok is false if nobody knows it any
// more. What an attempt that is over has left in the spool is read with the one that
// is open.
func (a attempt) ending() (l store.Login, ok bool) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	for _, known := range []*login{a.exchange, a.wish.login} {
		if known != nil && known.IsGuided() && (a.in.Login == "" || known.State == a.in.Login) {
			return known.Login, true
		}
	}
	return store.Login{}, false
}

// end is the call that ends a guided login.
func (a attempt) end(ctx context.Context, id sdk.Attempt) func() (sdk.Answer, error) {
	req := sdk.EndLoginRequest{Attempt: id, Account: a.cfg.Account}
	if l, ok := a.ending(); ok {
		req.Login, req.Given = l.Guided, l.Given
	}
	remote, patience := a.remote, a.cfg.Timeout+answerMargin
	return func() (sdk.Answer, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return remote.EndLoginAnswer(ctx, req)
	}
}

// staysOpen says whether the login that the attempt was to end goes on after that
// failure. One that is polled does unless the broker, or our configuration, has ended
// it; what a person has handed in may be spent, and is not sent twice. A post may be
// anybody's: that one was no good ends no login, and the true one may be on its way.
func (a attempt) staysOpen(cause error) bool {
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
	return posted || isPolled(l.Guided.Shape)
}

// goesOnAfter lets the login wait again, and says what has happened to it.
func (a attempt) goesOnAfter(cause error) error {
	name := a.cfg.Name
	a.keeper.mu.Lock()
	open := a.wish.login
	if open == nil || open.State != a.in.Login {
		a.keeper.mu.Unlock()
		return a.named(cause)
	}
	open.stage = loginWaits
	kind := sdk.KindOf(cause)
	if kind == sdk.KindAmbiguous {
		open.polls.lost = a.in.At
	}
	polled := isPolled(open.Guided.Shape)
	not := "taken"
	if kind == sdk.KindNotSent {
		not = "sent"
	}
	a.keeper.mu.Unlock()
	a.keeper.lookAtPolls()
	switch {
	case kind == sdk.KindPending:
		return a.named(cause)
	case polled:
		a.log().Info("the broker could not be asked whether the login is done; it is asked again", "attempt", a.in.Attempt, "error", cause)
		return a.named(cause)
	}
	a.log().Warn("what was handed in for a login was not "+not+"; the login stays open", "attempt", a.in.Attempt, "error", cause)
	return worded{fmt.Sprintf("account %s: what was handed in was not %s (%s); the login stays open: go on with: tokenkeeper login %[1]s", name, not, a.bare(cause.Error())), cause}
}

// saidNo says to people how a broker has ended a login that it was asked about, by
// word of the person or of its clock (RFC 8628, section 3.5); "": it did not.
func saidNo(cause error) string {
	var e *sdk.Error
	if errors.As(cause, &e) {
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
func (a attempt) failedText(cause error) string {
	if said := saidNo(cause); said != "" {
		return said
	}
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	if l := a.wish.login; l != nil && l.State == a.in.Login && !l.polls.lost.IsZero() && sdk.KindOf(cause) == sdk.KindInvalidGrant {
		return "the login failed, most likely because an earlier answer to it was lost (" + moment.Stamp(l.polls.lost) + ")"
	}
	return "the login failed"
}

// overWith ends the guided login of the attempt, which has failed for that reason.
func (a attempt) overWith(ctx context.Context, why error) {
	if a.in.Kind != spool.KindLogin || a.in.Login == "" {
		return
	}
	if err := a.keeper.cfg.Store.DropLogin(ctx, a.cfg.Name, a.in.Login); err != nil {
		a.log().Warn("a login that has failed can't be dropped from the store; it is tried again", "error", err)
		a.giveUp(a.in.Login)
		return
	}
	a.closeLogin(a.in.Login, why)
}
