// Package login keeps the logins that people have begun and not completed: one for
// each account, durable from the moment at which its address is shown. Whoever begins
// another gets the first one's address. A login ends with the token that it brings, by
// a person's word, or by itself. To spend a code, or to ask whether the person is done,
// is an attempt: that is the [Cycle]'s, which alone has the right to act on an account.
package login

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Errors of a login that is open, or is not.
var (
	// ErrOpen: a refresh waits for the login that a person has begun.
	ErrOpen = errors.New("a login is open")
	// ErrNotOpen: there is none to cancel.
	ErrNotOpen = errors.New("no login is open")
	// ErrSpent: it is too late to cancel one.
	ErrSpent = errors.New("the code of the login is being spent just now")
	// ErrNotThis: no login is under way, or the state is another login's.
	ErrNotThis = errors.New("this is not the answer to the login that was begun last")
	// ErrReplaced: another token came while the login was being ended.
	ErrReplaced = errors.New("the login is over and has brought nothing, because the account was given another token meanwhile")

	errCancelled = errors.New("the login was cancelled")
	errNotInTime = errors.New("the login was not completed in time, and is over")
	errJustEnded = errors.New("the login that was open ended just now; try again")
)

// Login is a login that a person has begun.
type Login struct {
	// Account is whose it is, State names it to the broker, and ID to whoever waits for
	// it, which is no secret.
	Account, State, ID string
	// Guided: a [sdk.LoginGuide] ends it, in that shape. Poll is its id if it is
	// polled; "": a person hands something in.
	Guided bool
	Shape  sdk.LoginShape
	Poll   string

	// of has the lock that guards the rest.
	of *Open
	l  store.Login
	// elsewhere: its address would be another one by now.
	elsewhere bool
	stage     stage
	polls     polling
	// unsettled: it is of an earlier run, and an attempt to end it may stand open.
	unsettled bool
	outcome   *outcome
}

// outcome is how a login ends. Err is set before over is closed.
type outcome struct {
	id   string
	over chan struct{}
	err  error // why it has brought no token
}

// stage is how far an open login is on its way to its end.
type stage int

const (
	waits  stage = iota // for a code, or until it is polled
	ends                // a person cancels it, which is being made durable
	spends              // its code is about to be announced
)

// Begun is a login that a person has begun and not completed, for who shows it.
type Begun struct {
	// ID names it, and is no secret.
	ID string
	// URL at which he logs in, UserCode what he types there, and Instructions what else
	// he does; "" where that is shown to nobody, or if there is none.
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

func begun(l store.Login) Begun {
	return Begun{
		ID: idOf(l), URL: cmp.Or(l.URL, l.Guided.Address), UserCode: l.Guided.UserCode, Instructions: l.Guided.Instructions,
		Shape: cmp.Or(l.Guided.Shape, sdk.LoginRedirect), Polled: isPolled(l.Guided.Shape), At: l.At, Until: l.Until, By: l.By,
	}
}

// idOf names a login to whoever waits for it.
func idOf(l store.Login) string { return sdk.NewSecret(l.State).Fingerprint() }

// Stored is the login as the store has it.
func (l *Login) Stored() store.Login {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	return l.l
}

// Begun is the login for who shows it. Unpolled is why the broker may not be asked;
// nil: it may.
func (l *Login) Begun(unpolled error) Begun {
	b := begun(l.Stored())
	if unpolled != nil && l.Poll != "" {
		b.Unpolled = unpolled.Error()
	}
	return b
}

// Until is when it is over by itself.
func (l *Login) Until() time.Time { return l.Stored().Until }

// IsUnsettled says whether an attempt of an earlier run to end it may stand open.
func (l *Login) IsUnsettled() bool {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	return l.unsettled
}

// Lost is when a poll began whose answer was lost; zero: none was.
func (l *Login) Lost() time.Time {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	return l.polls.lost
}

// Waiting says for people what an account waits for that is not refreshed because of
// the login, and what they can do.
func (l *Login) Waiting() string {
	s := l.Stored()
	return fmt.Sprintf("a login is open, begun %s by user %d: it is refreshed when that is completed, cancelled (tokenkeeper login %s --cancel), "+
		"or over at %s, and before its token dies", s.At.UTC().Format(time.RFC3339), s.By.UID, s.Account, s.Until.UTC().Format(time.RFC3339))
}

// HoldsBack is told to who asks for a refresh meanwhile.
func (l *Login) HoldsBack() error {
	return fmt.Errorf("account %s: %w; complete it with: tokenkeeper login %[1]s, end it with: tokenkeeper login %[1]s --cancel, "+
		"or refresh all the same with: tokenkeeper refresh %[1]s --force (%[3]s)", l.Account, ErrOpen, l.Waiting())
}

// NotTaken refuses a code. Open is the login that is open; nil: none is.
func NotTaken(account string, open *Login) error {
	const unused = "account %s: the code was not used: %w"
	if open == nil {
		return fmt.Errorf(unused+". No login is open: it was completed, cancelled, or is over; begin again with: tokenkeeper login %[1]s", account, ErrNotThis)
	}
	return fmt.Errorf(unused+". That one stays open until %[3]s, and refreshes wait for it: go on with: tokenkeeper login %[1]s, or end it with: tokenkeeper login %[1]s --cancel",
		account, ErrNotThis, moment.Stamp(open.Until()))
}

// errSpent is told to who would begin or end a login whose code is on its way.
func errSpent(account string) error {
	return fmt.Errorf("account %s: %w; see what becomes of it with: tokenkeeper status", account, ErrSpent)
}
