package login

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// idle is a cycle at whose account nothing is done, and through which nothing can be
// sent.
type idle struct{ planned []string }

var errAway = errors.New("the process is away")

func (*idle) Serving(context.Context, string) (*sdk.Remote, func(), error) { return nil, nil, errAway }
func (*idle) MayBegin(string) error                                        { return nil }
func (*idle) Loginless(string) error                                       { return ErrNoShape }
func (*idle) State(string) account.State {
	return account.State{Standing: account.None{}, Attempt: account.Attempt{Stage: account.Free{}}}
}
func (c *idle) Plan(name string)                             { c.planned = append(c.planned, name) }
func (*idle) Unpolled(string, string) (time.Duration, error) { return 0, nil }
func (*idle) BeginPoll(string) (Flight, bool)                { return Flight{}, false }
func (*idle) CompleteLogin(context.Context, string, string, string) (store.Record, error) {
	return store.Record{}, errAway
}

// begunAt is the front of an account "one", at which a login was begun.
func begunAt(t *testing.T, cycle Cycle) (*Front, *Login) {
	t.Helper()
	s := store.NewMemory()
	cfg := Config{
		Provider: "fake", Accounts: map[string]Account{"one": {Account: sdk.Account{Name: "one"}, Timeout: time.Minute}},
		Store: s, Log: slog.New(slog.DiscardHandler), Clock: schedule.NewClock(time.Now, nil),
	}
	open, err := NewOpen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f, now := NewFront(open, cycle), time.Now()
	if _, err := f.openWith(t.Context(), store.Login{
		Account: "one", State: "state-1", URL: "https://broker.example/login", Verifier: sdk.NewSecret("verifier"),
		At: now, Until: now.Add(patience), By: event.Caller{UID: 1000}, Config: cfg.fingerprint("one", ""),
	}); err != nil {
		t.Fatal(err)
	}
	l := open.At("one", now)
	if l == nil {
		t.Fatal("the login that was begun is not open")
	}
	return f, l
}

// TestCodeOrCancel: a login whose code is being announced can't be cancelled, and one
// that is being cancelled takes no code.
func TestCodeOrCancel(t *testing.T) {
	f, l := begunAt(t, &idle{})
	if !l.Spends() || l.Spends() {
		t.Error("its code can be announced once")
	}
	if _, err := f.CancelLogin(t.Context(), "one"); !errors.Is(err, ErrSpent) {
		t.Errorf("cancelled while its code is announced: %v", err)
	}
	if !l.GoesOn() || !l.cancels() {
		t.Error("it goes on, and can be cancelled")
	}
	if l.Spends() {
		t.Error("its code can be announced while it is cancelled")
	}
	f.open.Close("one", "state-1", errCancelled)
	if l.GoesOn() || l.Spends() || l.cancels() {
		t.Error("one that is closed goes on")
	}
}

// TestEndIsTold: who waits for a login is told how it has ended, also if it ended before
// he waited, and not of another one's end.
func TestEndIsTold(t *testing.T) {
	cycle := &idle{}
	f, l := begunAt(t, cycle)
	if _, err := f.CancelLogin(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.AwaitLogin(t.Context(), "one", l.ID); !errors.Is(err, errCancelled) {
		t.Errorf("the one that was cancelled: %v", err)
	}
	if _, err := f.AwaitLogin(t.Context(), "one", "another"); !errors.Is(err, ErrNotOpen) {
		t.Errorf("one that is not known: %v", err)
	}
	if _, err := f.AwaitLogin(t.Context(), "two", l.ID); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("an account that is not known: %v", err)
	}
	if _, stands, err := f.cfg.Store.Login(t.Context(), "one"); stands || err != nil {
		t.Errorf("the store still has it: %v, %v", stands, err)
	}
	if len(cycle.planned) != 2 { // its beginning and its end
		t.Errorf("the account was planned %d times", len(cycle.planned))
	}
}

// TestLoginIsOver: one that nobody completes is over by itself, and is dropped.
func TestLoginIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := begunAt(t, &idle{})
		f.DropLogins()
		synctest.Wait()
		if f.open.Last("one") != l {
			t.Fatal("it is over before its time")
		}
		time.Sleep(patience)
		if f.open.At("one", time.Now()) != nil {
			t.Error("it can be completed after its time")
		}
		f.DropLogins()
		synctest.Wait()
		if f.open.Last("one") != nil {
			t.Error("it was not dropped")
		}
		if _, err := f.AwaitLogin(t.Context(), "one", l.ID); !errors.Is(err, errNotInTime) {
			t.Errorf("who waited for it: %v", err)
		}
	})
}

// TestPaceOfPolls: a broker that wants to be asked less often is, and one that can't be
// asked is left alone longer each time.
func TestPaceOfPolls(t *testing.T) {
	l := store.Login{Guided: sdk.Login{Shape: sdk.LoginDevice, PollEvery: 5 * time.Second}}
	pending := &sdk.Error{Kind: sdk.KindPending}
	for name, c := range map[string]struct {
		outcome error
		want    time.Duration
	}{
		"pending":         {pending, 5 * time.Second},
		"slow_down":       {&sdk.Error{Kind: sdk.KindPending, OAuthError: "slow_down"}, 10 * time.Second},
		"pending, later":  {&sdk.Error{Kind: sdk.KindPending, RetryAfter: time.Minute}, time.Minute},
		"not a word":      {errAway, 5 * time.Second},
		"another failure": {&sdk.Error{Kind: sdk.KindTransient, RetryAfter: time.Minute}, 5 * time.Second},
	} {
		if got := paceOf(l, c.outcome); got != c.want {
			t.Errorf("%s: each %s, want %s", name, got, c.want)
		}
	}
	var p polling
	for n, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
		if got := p.next(l, errAway); got != want*time.Second {
			t.Errorf("failure %d: next after %s, want %s", n+1, got, want*time.Second)
		}
	}
	if p.next(l, pending); p.next(l, errAway) != 5*time.Second {
		t.Error("an answer does not end the row of failures")
	}
}
