package refresh_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var errUnclear = errors.New("the connection to the store is lost")

// unclearStore fails one write in words that say nothing; took: it was durable all
// the same, as when the connection to a server breaks before its answer.
type unclearStore struct {
	store.Store

	mu    sync.Mutex
	fails string // an attempt, its mark, its replay, a login, the end of one, or a token; "": none
	took  bool
	hid   bool // it has taken something, and not said so
}

func (u *unclearStore) fail(what string, took bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fails, u.took = what, took
}

// failing says what is still to fail; "": nothing.
func (u *unclearStore) failing() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.fails
}

func (u *unclearStore) hasHidden() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.hid
}

func (u *unclearStore) write(what string, do func() error) error {
	u.mu.Lock()
	fails, took := u.fails == what, u.took
	if fails {
		u.fails, u.hid = "", u.hid || took
	}
	u.mu.Unlock()
	if !fails {
		return do()
	}
	if took {
		if err := do(); err != nil {
			return err
		}
	}
	return errUnclear
}

func (u *unclearStore) Intend(ctx context.Context, in store.Intent) error {
	what := "attempt"
	if in.Kind == spool.KindExchange {
		what = "login"
	}
	return u.write(what, func() error { return u.Store.Intend(ctx, in) })
}

func (u *unclearStore) Replace(ctx context.Context, attempt string, in store.Intent) error {
	what := "mark"
	switch {
	case in.Kind == spool.KindExchange:
		what = "login"
	case in.Replays != "" && in.Attempt != attempt:
		what = "replay"
	}
	return u.write(what, func() error { return u.Store.Replace(ctx, attempt, in) })
}

func (u *unclearStore) Commit(ctx context.Context, rec store.Record) error {
	what := "token"
	if rec.Origin != store.OriginRefresh {
		what = "person"
	}
	return u.write(what, func() error { return u.Store.Commit(ctx, rec) })
}

func (u *unclearStore) Abandon(ctx context.Context, account, attempt string, at store.Basis, h store.Health) error {
	return u.write("end", func() error { return u.Store.Abandon(ctx, account, attempt, at, h) })
}

// TestWhatIsAnnouncedIsReadAgain: the store does not say whether it has taken an
// announcement, or the end of one. Nothing is sent until that was read again, and
// the account goes on in the same generation, whichever it was.
func TestWhatIsAnnouncedIsReadAgain(t *testing.T) {
	ambiguous := fault{refuse: sdk.ErrAmbiguous}
	for _, c := range []struct {
		name, fails string
		first       fault         // of the attempt at 15 minutes
		login       time.Duration // when a person has a code; zero: never
		code        string
	}{
		{name: "an attempt", fails: "attempt"},
		{name: "an attempt, before a login", fails: "attempt", login: 15*time.Minute + 2*time.Second, code: "wrong"},
		{name: "a replay", fails: "replay", first: ambiguous},
		{name: "a login", fails: "login", login: time.Minute, code: "code-one"},
		{name: "a login over an unknown attempt", fails: "login", first: ambiguous, login: 15*time.Minute + 10*time.Second, code: "code-one"},
		{name: "the end of a login", fails: "end", login: time.Minute, code: "wrong"},
		{name: "the end of a login over an unknown attempt", fails: "end", first: ambiguous, login: 15*time.Minute + 10*time.Second, code: "wrong"},
	} {
		for _, took := range []bool{false, true} {
			t.Run(c.name+map[bool]string{false: ", not taken", true: ", taken"}[took], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 20*time.Minute, "one")
					s := &unclearStore{Store: r.store}
					r.store = s
					r.restart()
					defer r.watch()()
					g := r.start()
					synctest.Wait()
					if c.first.refuse != nil {
						r.broker.next("one", c.first)
					}
					s.fail(c.fails, took)
					if c.login > 0 {
						time.Sleep(c.login)
						synctest.Wait()
						if _, err := r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), c.code); err == nil {
							t.Error("the login went well")
						}
					}
					time.Sleep(17*time.Minute - c.login)
					synctest.Wait()
					if s.failing() != "" {
						t.Error("nothing has failed: this proves nothing")
					}
					want := 1
					if c.first.refuse != nil {
						want = 2
					}
					if n := r.broker.count(); n != want {
						t.Errorf("%d requests, want %d", n, want)
					}
					if st := r.status("one"); st.State != refresh.Valid || st.Record.Version != 2 {
						t.Errorf("state %s at version %d: %s", st.State, st.Record.Version, st.Record.Health.LastError)
					}
					_ = g.end()
				})
			})
		}
	}
}
