package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Requests are put with the announcement of one, or by themselves, need no record,
// and outlive the attempt.
func testRequests(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	made := func(attempts ...string) (all []store.Request) {
		for n, a := range attempts {
			all = append(all, store.Request{Attempt: a, At: start.Add(time.Duration(n) * time.Minute)})
		}
		return all
	}
	same := func(a, b store.Request) bool {
		return a.Attempt == b.Attempt && a.At.Equal(b.At) && a.Failed == b.Failed
	}
	check := func(when string, want ...store.Request) {
		t.Helper()
		for _, when := range []string{when, when + ", reopened"} {
			got, err := s.Requests(ctx, "main")
			must(t, err)
			if !slices.EqualFunc(got, want, same) {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
			s = reopen(t, s, o)
		}
	}
	check("at first")
	login := store.Intent{Account: "main", Attempt: "a1", Kind: "exchange", Requests: made("a1")}
	must(t, s.Intend(ctx, login))
	check("announced without a record", made("a1")...)
	if in, ok, err := s.Intent(ctx, "main"); err != nil || !ok || in.Requests != nil {
		t.Errorf("the intent holds them: %+v, %v, %v", in, ok, err)
	}
	refused := made("a1")
	refused[0].Failed = true
	must(t, s.PutRequests(ctx, "main", refused))
	must(t, s.Abandon(ctx, "main", "a1", store.Basis{}, store.Health{}))
	check("refused", refused...)

	wantErr(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a2", Version: 7, Requests: made("a2")}), store.ErrConflict)
	check("an announcement was refused", refused...)
	must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a2"}))
	check("one that does not count is announced", refused...)
	both := append(refused, made("a2", "a3")[1])
	must(t, s.Replace(ctx, "a2", store.Intent{Account: "main", Attempt: "a3", Requests: both}))
	first := First("main")
	first.Attempt = "a3"
	must(t, s.Commit(ctx, first))
	check("stored", both...)
	must(t, s.PutRequests(ctx, "main", nil))
	check("forgotten")
	if s.PutRequests(ctx, "a/b", both) == nil {
		t.Error("requests were stored that could not be found again")
	}
	must(t, s.Close())
	wantErr(t, s.PutRequests(ctx, "main", both), store.ErrClosed)
	_, err := s.Requests(ctx, "main")
	wantErr(t, err, store.ErrClosed)
}
