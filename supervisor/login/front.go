package login

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Cycle is what the logins ask of who refreshes the accounts, and makes their attempts.
// It is called without any lock of this package, and may call [Open] under its own.
type Cycle interface {
	// Serving is the process through which a login may be begun, which does not end
	// before done is called. The error says to a person why there is none.
	Serving(ctx context.Context, account string) (remote *sdk.Remote, done func(), err error)
	// MayBegin says why nothing may be begun for the account now: its token would not
	// reach who shares it, or could not be asked for.
	MayBegin(account string) error
	// Loginless is told to who would log in where the provider has no login.
	Loginless(account string) error
	// State is how an account stands that is known.
	State(account string) account.State
	// Plan plans an account anew: its login was opened, or has ended.
	Plan(account string)
	// Unpolled says for how long, and why, the broker may not be asked whether the
	// person is done with a login that is polled under that id; 0 and nil: it may.
	Unpolled(account, poll string) (time.Duration, error)
	// BeginPoll makes room for one poll; ok is false if there is none, or no process
	// serves.
	BeginPoll(account string) (f Flight, ok bool)
	// CompleteLogin spends what a person has brought for the login of that state, as an
	// attempt: announced, spooled, and never cancelled once it was sent.
	CompleteLogin(ctx context.Context, account, state, code string) (store.Record, error)
}

// Flight is a poll for which there is room.
type Flight struct {
	// Ask asks once whether the person is done with the login of that state: an attempt
	// like that of CompleteLogin.
	Ask func(ctx context.Context, state string) error
	// Done gives the room back.
	Done func()
}

// Front is where people begin, complete, await and cancel logins. It is safe for
// concurrent use.
type Front struct {
	cfg   Config
	open  *Open
	cycle Cycle

	mu     sync.Mutex
	ending bool // logins that are over are being dropped from the store
}

// NewFront is for the logins that are open there.
func NewFront(open *Open, cycle Cycle) *Front { return &Front{cfg: open.cfg, open: open, cycle: cycle} }

// known fails with [account.ErrUnknown] where there is no such account.
func (f *Front) known(name string) error {
	if _, ok := f.cfg.Accounts[name]; !ok {
		return fmt.Errorf("%w: %s", account.ErrUnknown, name)
	}
	return nil
}

func (f *Front) now() schedule.Instant { return f.cfg.Clock.Now() }

// ErrOtherIssuer: what a person brought back from a login was made by another
// authorization server than the one that he was sent to.
var ErrOtherIssuer = errors.New("the address was made by another authorization server than the one of this login")

// CheckIssuer refuses an issuer that came back with a login of the account which
// is under way (RFC 9207, section 2.4) and is not its authorization server's.
// Where that is not known, or none came back, nothing can be told. The login
// goes on.
func (f *Front) CheckIssuer(name, issuer string) error {
	l := f.open.Last(name)
	if l == nil || issuer == "" {
		return nil
	}
	if own := l.Stored().Issuer; own != "" && own != issuer {
		return fmt.Errorf("%w (%s): close that page, and log in at the address that \"tokenkeeper login %s\" gives", ErrOtherIssuer, own, name)
	}
	return nil
}

// IsGuided says whether a login is open, and whether what a person brings for it is
// handed in as it is, with [Front.HandIn].
func (f *Front) IsGuided(name string) (guided, open bool) {
	l := f.open.At(name, f.now().Wall)
	return l != nil && l.Guided, l != nil
}

// HandIn ends the guided login that is open with what the person was given: an
// address, a token, a verifier, what the broker has posted to the person. Its errors
// are those of [Cycle.CompleteLogin].
func (f *Front) HandIn(ctx context.Context, name string, given sdk.Secret) (store.Record, error) {
	state, err := f.takes(name, given)
	if err != nil {
		return store.Record{}, err
	}
	return f.cycle.CompleteLogin(ctx, name, state, given.Reveal())
}

// takes returns the state of the open login, if it takes what is given.
func (f *Front) takes(name string, given sdk.Secret) (state string, err error) {
	if err := f.known(name); err != nil {
		return "", err
	}
	l := f.open.At(name, f.now().Wall)
	switch {
	case l == nil || !l.Guided:
		return "", NotTaken(name, l)
	case l.Poll != "":
		return "", fmt.Errorf("account %s: %w: the broker is asked until the person is done; wait for it with: tokenkeeper login %s", name, ErrNothingToHandIn, name)
	case bringsAddress(l.Shape) && !answers(given, l.Stored()):
		return "", NotTaken(name, l)
	}
	return l.State, nil
}

// AwaitLogin returns when the login of that id is over: with the account's record, or
// with the reason why it has brought none. A login that ended before it was waited for
// counts, if no other has ended since.
func (f *Front) AwaitLogin(ctx context.Context, name, id string) (store.Record, error) {
	if err := f.known(name); err != nil {
		return store.Record{}, err
	}
	o := f.open.outcome(name, id)
	if o == nil {
		return store.Record{}, fmt.Errorf("account %s: %w: it has ended; see what has come of it with: tokenkeeper status", name, ErrNotOpen)
	}
	select {
	case <-o.over:
	case <-ctx.Done():
		return store.Record{}, fmt.Errorf("account %s: %w, and goes on", name, ErrOpen)
	}
	switch {
	case o.err == nil:
		return f.cycle.State(name).Record(), nil
	case errors.Is(o.err, errCancelled), errors.Is(o.err, errNotInTime), errors.Is(o.err, errJustEnded):
		return store.Record{}, fmt.Errorf("account %s: %w; begin again with: tokenkeeper login %[1]s", name, o.err)
	}
	return store.Record{}, advice.Named(name, o.err)
}
