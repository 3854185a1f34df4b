package storetest

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
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

	// One that is guided is over with its token, and not with an attempt.
	guided := func(account string) store.Login {
		l := begun(account, "guided", start)
		l.URL, l.Given = "", sdk.NewSecret("given")
		l.Guided = sdk.Login{
			Shape: sdk.LoginDevice, Address: "https://broker.example/device", Instructions: "Type it.", UserCode: "WDJB-MJHT",
			Expires: start.Add(time.Hour), PollEvery: 5 * time.Second, Private: map[string]sdk.Secret{"device_code": sdk.NewSecret("device")},
		}
		return l
	}
	ends := func(account, attempt string, version uint64) store.Intent {
		return store.Intent{Account: account, Attempt: attempt, Version: version, Kind: spool.KindLogin, Login: "guided"}
	}
	must(t, s.PutLogin(ctx, guided("main")))
	must(t, s.PutLogin(ctx, guided("other")))
	must(t, s.Replace(ctx, "a3", ends("main", "a4", 1)))
	must(t, s.Replace(ctx, "o1", ends("other", "o2", 0)))
	check("its end is announced", guided("main"), guided("other"))
	must(t, s.Abandon(ctx, "main", "a4", at(1), store.Health{}))
	must(t, s.Abandon(ctx, "other", "o2", store.Basis{}, store.Health{}))
	check("it failed", guided("main"), guided("other"))
	must(t, s.Intend(ctx, ends("main", "a5", 1)))
	must(t, s.Intend(ctx, ends("other", "o3", 0)))
	rec := First("other")
	rec.Attempt = "o3"
	must(t, s.Commit(ctx, rec))
	check("it brought a token", guided("main"))
	must(t, s.PutBeside(ctx, "main", "a5", at(1), &store.Candidate{Token: Token("main", 9), Attempt: "a5", LoginAt: start}))
	check("it brought another person's")

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
	same := a.Verifier.Equal(b.Verifier) && a.Given.Equal(b.Given) && a.At.Equal(b.At) && a.Until.Equal(b.Until) && a.Guided.Expires.Equal(b.Guided.Expires) &&
		maps.EqualFunc(a.Guided.Private, b.Guided.Private, sdk.Secret.Equal)
	for _, l := range []*store.Login{&a, &b} {
		l.Verifier, l.Given, l.At, l.Until = sdk.Secret{}, sdk.Secret{}, time.Time{}, time.Time{}
		l.Guided.Expires, l.Guided.Private = time.Time{}, nil
	}
	return same && reflect.DeepEqual(a, b)
}
