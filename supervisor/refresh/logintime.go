package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var (
	// ErrLoginTime: nobody can have logged in then.
	ErrLoginTime = errors.New("that is no time of a login")
	// ErrAnotherToken: the account's refresh token is another one.
	ErrAnotherToken = errors.New("the account has another refresh token")
	// ErrUnsettled: an attempt of the account is not over.
	ErrUnsettled = errors.New("the outcome of a refresh is not known yet")
)

// Meet tells a Keeper that never runs how the broker treats its tokens.
func (k *Keeper) Meet(d sdk.Description) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learn(natureOf(belief.Description(d)))
	for _, a := range k.accounts {
		a.ifIdle(func(a *leased) { a.getsKey() })
	}
}

// toldLogin is the time of the login that a token t comes from which was found
// elsewhere, beside a time that is told there. An uncertain one may be set anew at
// each refresh by whoever wrote it: then the login was no later, and may have been
// earlier. So it does not take the place of rec's where rec's is certain and t has
// the same refresh token. Another refresh token may be of another login; but where
// the broker replaces it at each refresh it is likely of the same, and rec's earlier
// time stays as a guess: people are told of the end too early rather than too late,
// and nothing ends by it. An uncertain time of a login that would have ended before
// the broker refreshed rec's token is another login's.
func toldLogin(rec store.Record, t sdk.Token, at time.Time, uncertain bool, p sdk.Policy) (login time.Time, isGuess bool) {
	same := t.RefreshToken.Equal(rec.Token.RefreshToken)
	end := p.Ends(sdk.Moments{Login: rec.LoginAt}).Refresh.At
	told := p.Ends(sdk.Moments{Login: at}).Refresh.At
	switch {
	case uncertain && !told.IsZero() && rec.Origin == store.OriginRefresh && rec.Token.IssuedAt.After(told):
		return rec.LoginAt, rec.LoginUncertain
	case !uncertain || rec.LoginAt.IsZero():
		return at, uncertain
	case same && !rec.LoginUncertain:
		return rec.LoginAt, false
	case !same && p.Rotates && !rec.Refused() && rec.LoginAt.Before(at) && (end.IsZero() || t.IssuedAt.Before(end)):
		return rec.LoginAt, true
	}
	return at, true
}

// CheckLoginTime says why a person can't have logged in at a moment, if the
// login lives; nil: it may be. Unless by force, a login that has ended by what
// is known of the broker is none.
func (p persons) CheckLoginTime(account string, at time.Time, force bool) error {
	return checkLoginTime(advice.Token{Account: account, Means: p.known.nature().means(), Stands: true}, at, p.known.Policy(), p.clock.Now().Wall, force)
}

func checkLoginTime(by advice.Token, at time.Time, p sdk.Policy, now time.Time, force bool) error {
	account, stamp := by.Account, at.Format(time.RFC3339)
	end := p.Ends(sdk.Moments{Login: at}).Refresh.At
	switch {
	case !moment.Sane(at):
		return fmt.Errorf("account %s: %w: %s", account, ErrLoginTime, stamp)
	case at.After(now):
		return fmt.Errorf("account %s: %w: %s has not come yet; it is %s here. Mind the zone", account, ErrLoginTime, stamp, now.In(at.Location()).Format(time.RFC3339))
	case !force && !end.IsZero() && !now.Before(end):
		return fmt.Errorf("account %s: %w: a login ends %s after it was made, and that one would have ended %s; if it has, %s",
			account, ErrLoginTime, moment.Span(end.Sub(at)), end.In(at.Location()).Format(time.RFC3339), by.With(""))
	}
	return nil
}

// TellLogin notes when the login was made that the account's token comes from.
// The token stays, as a version of its own, so that consumers learn of it.
// refreshToken, if it is not zero, must be the account's: otherwise it is
// [ErrAnotherToken].
func (p persons) TellLogin(ctx context.Context, name string, refreshToken sdk.Secret, at time.Time) (store.Record, error) {
	a, err := p.accounts.claim(ctx, name)
	if err != nil {
		return store.Record{}, err
	}
	defer a.release()
	switch {
	case !a.stored():
		return store.Record{}, fmt.Errorf("account %s: %w: take one from a token file with: tokenkeeper import %s FILE --login-time %s",
			name, ErrNoToken, name, at.Format(time.RFC3339))
	case !refreshToken.IsZero() && !refreshToken.Equal(a.rec().Token.RefreshToken):
		return store.Record{}, fmt.Errorf("account %s: %w", name, ErrAnotherToken)
	case a.rec().Origin == store.OriginRefresh && at.After(a.rec().Token.IssuedAt):
		return store.Record{}, fmt.Errorf("account %s: %w: its login is older than its token, which was refreshed %s. If there is a newer login, "+
			"import its token%s", name, ErrLoginTime, moment.Stamp(a.rec().Token.IssuedAt), a.say.orLogin())
	case a.rec().NeedsLogin():
		return store.Record{}, a.say.needs(", and the new one's time is known by itself: " + a.say.anew().Command())
	}
	if _, open, err := p.store.Intent(ctx, name); err != nil {
		return store.Record{}, fmt.Errorf("account %s: read the open attempt: %w", name, err)
	} else if open || unfinished(a.state()) {
		return store.Record{}, fmt.Errorf("account %s: %w; tokenkeeper status shows when it is, then say it again", name, ErrUnsettled)
	}
	next := a.rec().Told(at, p.clock.Now().Wall)
	if foreignOrigin(next.Origin) && p.known.Policy().CountsFromLogin() {
		next.Token.RefreshLifetime = 0 // which a document had told, and he knows better
	}
	noteEnds(&next, p.known.Policy())
	if err := commit(ctx, p.store, next); err != nil {
		return store.Record{}, fmt.Errorf("account %s: store the time of its login: %w", name, err)
	}
	a.renewed(next)
	a.lookWhenIdle(toLook)
	a.Publish(slog.LevelInfo, event.Event{
		Type: event.LoginTold, Version: next.Version, Expiry: next.Token.Expiry(), Message: "a person has said when the login was made",
	})
	return next, nil
}
