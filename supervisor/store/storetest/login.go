package storetest

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A begun login survives, is one for each account, and ends with the announcement
// of the exchange that spends its code.
func testLogin(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	begun := func(account, state string, at time.Time) store.Login {
		return store.Login{
			Account: account, State: state, URL: "https://broker.example/?state=" + state, Verifier: sdk.NewSecret("verifier of " + state),
			Issuer: "https://broker.example", At: at, Until: at.Add(15 * time.Minute), By: event.Caller{UID: 7, PID: 8, Program: "/bin/x"},
			GrantedTo: store.GrantedTo{Client: "client", TokenHost: "broker.example"}, Config: "config",
		}
	}
	check := func(when string, want ...store.Login) {
		t.Helper()
		for _, when := range []string{when, when + ", reopened"} {
			all, err := s.Logins(ctx)
			must(t, err)
			same := len(all) == len(want)
			for n := range want {
				got, ok, err := s.Login(ctx, want[n].Account)
				must(t, err)
				same = same && ok && sameLogin(got, want[n]) && sameLogin(all[n], want[n])
			}
			if !same {
				t.Errorf("%s: %d logins %+v, want %+v", when, len(all), all, want)
			}
			s = reopen(t, s, o)
		}
	}
	check("at first")
	if _, ok, err := s.Login(ctx, "main"); ok || err != nil {
		t.Fatalf("a login that nobody began: %v", err)
	}
	must(t, s.DropLogin(ctx, "main", "none"))

	first, other := begun("main", "first", start), begun("other", "others", start)
	must(t, s.PutLogin(ctx, other))
	must(t, s.PutLogin(ctx, first))
	must(t, s.PutLogin(ctx, first)) // who does not know whether it was taken
	wantErr(t, s.PutLogin(ctx, begun("main", "second", first.Until.Add(-time.Nanosecond))), store.ErrConflict)
	check("begun", first, other)
	third := begun("main", "third", first.Until)
	must(t, s.PutLogin(ctx, third))
	check("the first is over", third, other)
	must(t, s.DropLogin(ctx, "main", "first"))
	check("the first is dropped late", third, other)

	// An attempt that spends no code, or another's, leaves it open.
	must(t, s.Commit(ctx, First("main")))
	must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a1", Version: 1}))
	must(t, s.Replace(ctx, "a1", store.Intent{Account: "main", Attempt: "a2", Version: 1, Kind: "exchange", Login: "first"}))
	check("a refresh is announced, and an earlier exchange", third, other)
	wantErr(t, s.Replace(ctx, "a1", store.Intent{Account: "main", Attempt: "a3", Version: 1, Kind: "exchange", Login: "third"}), store.ErrConflict)
	check("its announcement was refused", third, other)
	must(t, s.Replace(ctx, "a2", store.Intent{Account: "main", Attempt: "a3", Version: 1, Kind: "exchange", Login: "third"}))
	check("its exchange is announced over an attempt", other)
	must(t, s.Intend(ctx, store.Intent{Account: "other", Attempt: "o1", Kind: "exchange", Login: "others"}))
	check("and the first of an account")

	must(t, s.PutLogin(ctx, first))
	must(t, s.DropLogin(ctx, "main", "first"))
	check("dropped")
	if s.PutLogin(ctx, store.Login{Account: "main"}) == nil || s.PutLogin(ctx, store.Login{Account: "a/b", State: "x"}) == nil {
		t.Error("a login was stored that could not be found again")
	}
	must(t, s.Close())
	wantErr(t, s.PutLogin(ctx, first), store.ErrClosed)
	wantErr(t, s.DropLogin(ctx, "main", "first"), store.ErrClosed)
	_, err := s.Logins(ctx)
	wantErr(t, err, store.ErrClosed)
}

func sameLogin(a, b store.Login) bool {
	same := a.Verifier.Equal(b.Verifier) && a.At.Equal(b.At) && a.Until.Equal(b.Until)
	for _, l := range []*store.Login{&a, &b} {
		l.Verifier, l.At, l.Until = sdk.Secret{}, time.Time{}, time.Time{}
	}
	return same && a == b
}
