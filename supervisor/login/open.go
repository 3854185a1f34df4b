package login

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Account is what the configuration says of one account.
type Account struct {
	sdk.Account
	// Presented is the account as it goes to the broker now, with the secret of its client
	// that is the next one.
	Presented func() sdk.Account
	// Timeout of one attempt.
	Timeout time.Duration
	// GrantedTo is to whom a token is granted that it gets now.
	GrantedTo store.GrantedTo
}

// Config is what the logins of a provider's accounts are made of.
type Config struct {
	Provider string
	Accounts map[string]Account
	Store    store.Store
	Log      *slog.Logger
	Clock    *schedule.Clock
}

func (c Config) log(account string) *slog.Logger {
	return c.Log.With("provider", c.Provider, "account", account)
}

// Open are the logins that are open at the accounts of one provider, and how the last
// one of each has ended. What it says of one is durable: it is opened here after it was
// stored, and closed after it was dropped, or its code announced. It asks nobody and
// waits for nobody, so that whoever has the lock of a [Cycle] may call it. It is safe
// for concurrent use.
type Open struct {
	cfg Config
	// wake interrupts the sleep of who polls.
	wake chan struct{}

	mu     sync.Mutex
	open   map[string]*Login   // by account
	ended  map[string]*outcome // how the last one of each has
	shapes shapes
	pkce   sdk.PKCE
}

// NewOpen takes up the logins that were begun in an earlier run.
func NewOpen(ctx context.Context, cfg Config) (*Open, error) {
	o := &Open{cfg: cfg, wake: make(chan struct{}, 1), open: map[string]*Login{}, ended: map[string]*outcome{}}
	all, err := cfg.Store.Logins(ctx)
	if err != nil {
		return nil, err
	}
	for _, stored := range all {
		if _, ok := cfg.Accounts[stored.Account]; ok {
			l := o.login(stored)
			l.unsettled = l.Guided
			o.open[l.Account] = l
		}
	}
	return o, nil
}

// Learn notes what a provider says of its logins.
func (o *Open) Learn(d sdk.Description) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shapes, o.pkce = shapesOf(d), d.Policy.PKCE
}

func (o *Open) login(stored store.Login) *Login {
	l := &Login{
		Account: stored.Account, State: stored.State, ID: idOf(stored), Guided: stored.IsGuided(), Shape: stored.Guided.Shape,
		of: o, l: stored, elsewhere: stored.Config != o.cfg.fingerprint(stored.Account, stored.Guided.Shape), outcome: &outcome{id: idOf(stored), over: make(chan struct{})},
	}
	if isPolled(l.Shape) {
		l.Poll = l.ID
	}
	return l
}

// fingerprint is that of what the address of an account's login is made from: with
// another redirect_url, say, or another provider, no code for it can be used. The
// client secret is none of it, and its JSON is the same for all. Nor is the shape of a
// redirect; an older program takes no guided login for one.
func (c Config) fingerprint(account string, shape sdk.LoginShape) string {
	b, err := json.Marshal(struct {
		Provider string
		Account  sdk.Account
		Shape    sdk.LoginShape `json:",omitempty"`
	}{c.Provider, c.Accounts[account].Account, shape})
	if err != nil { // of strings, and a secret that can be marshalled
		return ""
	}
	return sdk.NewSecret(string(b)).Fingerprint()
}

// earlyTolerated is how long before its beginning, by the clock, a login counts.
const earlyTolerated = 2 * time.Second

// At is the login of an account that can be completed at that moment; nil: there is
// none. One whose address would be another one by now, or of the future of a clock that
// was set back, can't.
func (o *Open) At(account string, now time.Time) *Login {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[account]; l != nil && l.lives(now) {
		return l
	}
	return nil
}

// lives says whether the login can be completed. The caller holds the lock.
func (l *Login) lives(now time.Time) bool {
	return now.Before(l.l.Until) && !now.Before(l.l.At.Add(-earlyTolerated)) && !l.elsewhere
}

// Of is the login of that state, as long as it is not closed, whatever the time; nil:
// it is not the account's.
func (o *Open) Of(account, state string) *Login {
	if l := o.Last(account); l != nil && l.State == state {
		return l
	}
	return nil
}

// Last is the login that was begun last and is not closed; nil: there is none.
func (o *Open) Last(account string) *Login {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open[account]
}

// opened takes up the login that the store holds.
func (o *Open) opened(stored store.Login) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[stored.Account]; l == nil || l.State != stored.State {
		o.open[stored.Account] = o.login(stored)
	}
}

// isOpen says whether the login is not closed. The caller holds the lock.
func (l *Login) isOpen() bool { return l.of.open[l.Account] == l }

// Spends says whether the code of the login may be announced, which can't be cancelled
// from then on.
func (l *Login) Spends() bool { return l.enter(spends) }

// cancels says whether the login may be ended, whose code can't be announced from then
// on: nobody is told that it is over while a code is on its way.
func (l *Login) cancels() bool { return l.enter(ends) }

func (l *Login) enter(next stage) bool {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.isOpen() || l.stage == spends || next == spends && l.stage != waits {
		return false
	}
	l.stage = next
	return true
}

// GoesOn lets the login wait for a code again, as before. It is false of one that is
// closed.
func (l *Login) GoesOn() bool {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.isOpen() {
		return false
	}
	l.stage = waits
	return true
}

// LostPoll notes when a poll began whose answer was lost.
func (l *Login) LostPoll(begun time.Time) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.polls.lost = begun
}

// Settled says that no attempt of an earlier run to end the account's login is left
// that was not settled.
func (o *Open) Settled(account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[account]; l != nil {
		l.unsettled = false
	}
}

// Give makes durable what the person has handed in for a guided login, before it is
// announced that it is spent.
func (l *Login) Give(ctx context.Context, given sdk.Secret) error {
	if !l.Guided || given.IsZero() {
		return nil
	}
	l.of.mu.Lock()
	l.l.Given = given
	noted := l.l
	l.of.mu.Unlock()
	return l.of.cfg.Store.PutLogin(ctx, noted)
}

// Close forgets the login of that state, whose end is durable. Why it has brought no
// token is told to those who wait for it; nil: it has.
func (o *Open) Close(account, state string, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[account]; l != nil && l.State == state {
		delete(o.open, account)
		o.ended[account] = l.outcome
		l.outcome.err = why
		close(l.outcome.over)
	}
}

// Drop ends the login of that state, and tells why it has brought no token. If the
// store does not take that, it is over all the same, and dropped later.
func (o *Open) Drop(ctx context.Context, account, state string, why error) {
	if err := o.drop(ctx, account, state); err != nil {
		o.cfg.log(account).Warn("a login that has failed can't be dropped from the store; it is tried again", "error", err)
		o.GiveUp(account, state)
		return
	}
	o.Close(account, state, why)
}

// drop makes the end of a login durable.
func (o *Open) drop(ctx context.Context, account, state string) error {
	return store.Made(o.cfg.Store.DropLogin(ctx, account, state), func() (bool, error) {
		l, stands, err := o.cfg.Store.Login(ctx, account)
		return err == nil && !(stands && l.State == state), err
	})
}

// GiveUp lets the login of that state be over by itself.
func (o *Open) GiveUp(account, state string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[account]; l != nil && l.State == state {
		l.l.Until = time.Time{}
	}
}

// all are those that are not closed.
func (o *Open) all() []*Login {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*Login, 0, len(o.open))
	for _, l := range o.open {
		all = append(all, l)
	}
	return all
}

// Wake lets who polls look at the logins.
func (o *Open) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// outcome is that of the login of that id, which is open or was the last one; nil: it
// was another one.
func (o *Open) outcome(account, id string) *outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.open[account]; l != nil && l.ID == id {
		return l.outcome
	}
	if last := o.ended[account]; last != nil && last.id == id {
		return last
	}
	return nil
}

// learned is what the provider says of its logins.
func (o *Open) learned() (shapes, sdk.PKCE) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shapes, o.pkce
}
