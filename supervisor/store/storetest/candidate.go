package storetest

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A login of another person is kept beside the record, which goes on as it was,
// and the attempt that stood before the login stands again.
func testCandidateBeside(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	c := &store.Candidate{
		Token: sdk.Token{
			AccessToken: sdk.NewSecret("another access"), RefreshToken: sdk.NewSecret("another refresh"), IssuedAt: start,
			Lifetime: time.Hour, Uncertain: true, Private: map[string]sdk.Secret{"code_verifier": sdk.NewSecret("verifier")},
		},
		LoginAt: start, RefreshExpiry: start.Add(time.Hour), Attempt: "login",
		GrantedTo: store.GrantedTo{Client: "client", Person: store.Person{Fingerprint: "0011223344556677", Name: "bob"}},
	}
	wantErr(t, s.PutBeside(ctx, "main", "", store.Basis{}, c), store.ErrNotFound)
	want := First("main")
	must(t, s.Commit(ctx, want))
	before := store.Intent{Account: "main", Provider: "saxo", Attempt: "a1", Kind: "refresh", Version: 1, At: start}
	must(t, s.Intend(ctx, before))
	must(t, s.Replace(ctx, "a1", store.Intent{Account: "main", Provider: "saxo", Attempt: "login", Kind: "exchange", Version: 1, At: start, Before: &before}))
	for _, version := range []uint64{0, 2} {
		wantErr(t, s.PutBeside(ctx, "main", "login", at(version), c), store.ErrConflict)
	}
	must(t, s.PutBeside(ctx, "main", "login", at(1), c))
	want.Candidate = c
	check := func(when string) {
		t.Helper()
		s = reopen(t, s, o)
		got, err := s.Load(ctx, "main")
		must(t, err)
		if d := Diff(got, want); d != "" {
			t.Errorf("%s: %s", when, d)
		}
	}
	check("set aside")
	if got, ok, err := s.Intent(ctx, "main"); err != nil || !ok || !sameIntent(got, before) {
		t.Fatalf("intent %+v (%v, %v), want %+v", got, ok, err, before)
	}
	// What changes the health alone, and the next version, leave it there.
	want.Health = store.Health{Failures: 2}
	must(t, s.Abandon(ctx, "main", "a1", at(1), want.Health))
	check("after a failure")
	want = want.Next(want.Token, store.OriginRefresh, "a2", start)
	must(t, s.Commit(ctx, want))
	check("after a refresh")

	must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a3", Version: 2}))
	must(t, s.PutBeside(ctx, "main", "", at(2), nil))
	want.Candidate = nil
	check("discarded")
	if in, ok, err := s.Intent(ctx, "main"); err != nil || !ok || in.Attempt != "a3" {
		t.Errorf("the intent of another attempt ended with it: %+v, %v, %v", in, ok, err)
	}
}
