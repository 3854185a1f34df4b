package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func testRecordSurvives(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	want := First("main")
	_, err := s.Load(ctx, "main")
	wantErr(t, err, store.ErrNotFound)
	must(t, s.Commit(ctx, want))
	for _, when := range []string{"at once", "after reopening"} {
		got, err := s.Load(ctx, "main")
		must(t, err)
		if d := Diff(got, want); d != "" {
			t.Errorf("%s: %s", when, d)
		}
		s = reopen(t, s, o)
	}
}

func testUnknownFieldsSurvive(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	r := First("main")
	// A name that differs from one of ours in case alone is not ours.
	r.Unknown = map[string][]byte{"tier": []byte(`{"level": 9007199254740993, "who": ["<a>"]}`), "VERSION": []byte(`77`)}
	must(t, s.Commit(ctx, r))
	s = reopen(t, s, o)
	got, err := s.Load(ctx, "main")
	must(t, err)
	must(t, s.Commit(ctx, got.Next(Token("main", 2), store.OriginRefresh, "a2", start)))
	must(t, s.Abandon(ctx, "main", "a3", at(2), store.Health{Failures: 1}))
	got, err = s.Load(ctx, "main")
	must(t, err)
	want := r.Next(Token("main", 2), store.OriginRefresh, "a2", start)
	want.Health = store.Health{Failures: 1}
	if d := Diff(got, want); d != "" {
		t.Error(d)
	}
}

func testFingerprints(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	r := First("main")
	r.Fingerprints = nil
	must(t, s.Commit(ctx, r))
	var want []string
	for n := uint64(2); n <= 40; n++ {
		want = append([]string{r.Token.RefreshToken.Fingerprint()}, want...)
		r = r.Next(Token("main", n), store.OriginRefresh, fmt.Sprint("a", n), start)
		must(t, s.Commit(ctx, r))
	}
	s = reopen(t, s, o)
	got, err := s.Load(ctx, "main")
	must(t, err)
	if fmt.Sprint(got.Fingerprints) != fmt.Sprint(want[:32]) {
		t.Errorf("%d fingerprints, want the newest 32 of %d, newest first", len(got.Fingerprints), len(want))
	}
}

func testListIsOrdered(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	// In a key the slash after "a" sorts behind "-".
	for _, account := range []string{"b", "a-b", "a", "a0", "a_b"} {
		must(t, s.Commit(ctx, First(account)))
		must(t, s.Intend(ctx, store.Intent{Account: account, Attempt: "x", Version: 1}))
	}
	list, err := Records(ctx, s)
	must(t, err)
	var got []string
	for _, r := range list {
		got = append(got, r.Account)
	}
	if want := "[a a-b a0 a_b b]"; fmt.Sprint(got) != want {
		t.Errorf("listed %v, want %s", got, want)
	}
}

func testRefusals(t *testing.T, o Opener) {
	s := open(t, o)
	ctx := t.Context()
	first := First("main")
	must(t, s.Commit(ctx, first))
	intent := store.Intent{Account: "main", Provider: "saxo", Attempt: "mine", Version: 1, At: start}
	must(t, s.Intend(ctx, intent))

	next := first.Next(Token("main", 2), store.OriginRefresh, "mine", start)
	of := func(version uint64, attempt string) store.Record {
		r := next
		r.Version, r.Attempt = version, attempt
		return r
	}
	other := intent
	other.Attempt = "other"
	stale := intent
	stale.Version = 0
	unknown := store.Intent{Account: "nobody", Attempt: "mine", Version: 1}
	elsewhere := store.Basis{Version: 1, Grant: 2} // another login had that number, too
	granted, again, over := intent, intent, other
	granted.Attempt, granted.Grant, again.Version, over.Grant = "mine", 2, 2, 2
	tests := []struct {
		name string
		call func() error
	}{
		{"commit of the same version again", func() error { return s.Commit(ctx, of(1, "mine")) }},
		{"commit that skips a version", func() error { return s.Commit(ctx, of(3, "mine")) }},
		{"commit of another attempt", func() error { return s.Commit(ctx, of(2, "other")) }},
		{"commit without an attempt", func() error { return s.Commit(ctx, of(2, "")) }},
		{"intent while another stands", func() error { return s.Intend(ctx, other) }},
		{"intent from an old version", func() error { return s.Intend(ctx, stale) }},
		{"intent from a version of nobody", func() error { return s.Intend(ctx, unknown) }},
		{"intent in another grant", func() error { return s.Intend(ctx, granted) }},
		{"replacing from another version", func() error { return s.Replace(ctx, "mine", again) }},
		{"replacing from another grant", func() error { return s.Replace(ctx, "mine", over) }},
		{"replacing what does not stand", func() error { return s.Replace(ctx, "other", other) }},
		{"replacing where nothing stands", func() error { return s.Replace(ctx, "mine", unknown) }},
		{"abandoning another's", func() error { return s.Abandon(ctx, "main", "other", at(1), store.Health{Failures: 9}) }},
		{"abandoning from an old version", func() error { return s.Abandon(ctx, "main", "mine", store.Basis{}, store.Health{Failures: 9}) }},
		{"abandoning from a version of nobody", func() error { return s.Abandon(ctx, "nobody", "mine", at(1), store.Health{Failures: 9}) }},
		{"abandoning from another grant", func() error { return s.Abandon(ctx, "main", "mine", elsewhere, store.Health{Failures: 9}) }},
		{"a login beside another grant", func() error { return s.PutBeside(ctx, "main", "mine", elsewhere, nil) }},
		{"renaming another grant", func() error { return s.Rename(ctx, "main", "new", elsewhere) }},
		{"forgetting another grant", func() error { return s.Forget(ctx, "main", "mine", elsewhere) }},
		{"forgetting an old version", func() error { return s.Forget(ctx, "main", "mine", at(2)) }},
		{"forgetting what was free then", func() error { return s.Forget(ctx, "main", "", at(1)) }},
		{"forgetting another's", func() error { return s.Forget(ctx, "main", "other", at(1)) }},
		{"a login beside an old version", func() error { return s.PutBeside(ctx, "main", "mine", at(2), nil) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantErr(t, tt.call(), store.ErrConflict)
			got, err := s.Load(ctx, "main")
			must(t, err)
			if d := Diff(got, first); d != "" {
				t.Errorf("the record changed: %s", d)
			}
			in, ok, err := s.Intent(ctx, "main")
			must(t, err)
			if !ok || !sameIntent(in, intent) {
				t.Errorf("the intent changed to %+v (%v)", in, ok)
			}
		})
	}
	for _, name := range []string{"", "a/b"} {
		if s.Commit(ctx, First(name)) == nil || s.Intend(ctx, store.Intent{Account: name, Attempt: "a"}) == nil {
			t.Errorf("%q was taken as an account", name)
		}
	}
	if s.Intend(ctx, store.Intent{Account: "main", Version: 1}) == nil {
		t.Error("an intent without an attempt was taken")
	}
	must(t, s.Commit(ctx, next))
}

func testRefreshTokenIsKept(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	r := First("main")
	must(t, s.Commit(ctx, r))
	r.Version, r.Token.RefreshToken = 2, sdk.Secret{}
	if s.Commit(ctx, r) == nil {
		t.Error("a record without a refresh token took the place of one that has it")
	}
	got, err := s.Load(ctx, "main")
	must(t, err)
	if d := Diff(got, First("main")); d != "" {
		t.Error(d)
	}
}

func testIntentSurvives(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	// A login of a new account: there is no record yet.
	in := store.Intent{
		Account: "main", Provider: "saxo", Attempt: "a1", Kind: "exchange", At: start, Boot: "boot",
		Fingerprint: "0123456789abcdef", Replays: "a0", AmbiguousSince: start.Add(-time.Minute),
		Unknown: `{"ATTEMPT":"of another","lease":{"who":["a"]}}`,
	}
	must(t, s.Intend(ctx, in))
	must(t, s.Intend(ctx, in)) // the same again: the caller may not know
	s = reopen(t, s, o)
	got, ok, err := s.Intent(ctx, "main")
	must(t, err)
	if !ok || !sameIntent(got, in) {
		t.Fatalf("intent %+v (%v), want %+v", got, ok, in)
	}
	in.Replays, in.Attempt = "a1", "a2"
	must(t, s.Replace(ctx, "a1", in))
	s = reopen(t, s, o)
	if got, ok, err = s.Intent(ctx, "main"); err != nil || !ok || !sameIntent(got, in) {
		t.Fatalf("replaced intent %+v (%v, %v), want %+v", got, ok, err, in)
	}
	r := First("main")
	r.Attempt = "a2"
	must(t, s.Commit(ctx, r))
	s = reopen(t, s, o)
	if _, ok, err = s.Intent(ctx, "main"); err != nil || ok {
		t.Fatalf("the commit did not end the intent (%v)", err)
	}
}

// A login stands over an attempt of which nobody knows the outcome: abandoned,
// it gives that back, also to the next process; committed, it ends both.
func testBeforeIsGivenBack(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	must(t, s.Commit(ctx, First("main")))
	before := store.Intent{
		Account: "main", Provider: "saxo", Attempt: "a1", Kind: "refresh", Version: 1, At: start, Boot: "boot",
		Spool: "spool", Until: start.Add(time.Minute), Fingerprint: "0123456789abcdef", AmbiguousSince: start,
	}
	must(t, s.Intend(ctx, before))
	login := store.Intent{Account: "main", Provider: "saxo", Attempt: "login", Kind: "exchange", Version: 1, At: start, Before: &before}
	must(t, s.Replace(ctx, "a1", login))
	s = reopen(t, s, o)
	if got, ok, err := s.Intent(ctx, "main"); err != nil || !ok || !sameIntent(got, login) {
		t.Fatalf("intent %+v (%v, %v), want %+v", got, ok, err, login)
	}
	wantErr(t, s.Abandon(ctx, "main", "a1", at(1), store.Health{}), store.ErrConflict)
	must(t, s.Abandon(ctx, "main", "login", at(1), store.Health{Failures: 2}))
	s = reopen(t, s, o)
	if got, ok, err := s.Intent(ctx, "main"); err != nil || !ok || !sameIntent(got, before) {
		t.Fatalf("intent %+v (%v, %v), want %+v", got, ok, err, before)
	}
	must(t, s.Replace(ctx, "a1", login))
	next := First("main").Next(Token("main", 2), store.OriginLogin, "login", start)
	must(t, s.Commit(ctx, next))
	s = reopen(t, s, o)
	if _, ok, err := s.Intent(ctx, "main"); err != nil || ok {
		t.Fatalf("the commit did not end both (%v)", err)
	}
}

// The refusal of its first key is kept for an account without a record, until it has
// one, or another attempt ends otherwise.
func testRefusalWithoutARecord(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	want := store.Health{Failures: 1, LastError: "no such key", LastKind: sdk.KindInvalidGrant, LastFailure: start, KeyRefused: "aabbccddeeff0011"}
	check := func(when, account string, want store.Health) {
		t.Helper()
		s = reopen(t, s, o)
		rec, err := s.Load(ctx, account)
		wantErr(t, err, store.ErrNotFound)
		rec.Health.LastFailure = rec.Health.LastFailure.UTC()
		if rec.Version != 0 || rec.Account != account && want != (store.Health{}) || rec.Health != want {
			t.Errorf("%s: version %d of %q, %+v, want %+v", when, rec.Version, rec.Account, rec.Health, want)
		}
	}
	for _, account := range []string{"main", "other"} {
		must(t, s.Intend(ctx, store.Intent{Account: account, Attempt: "a1", Kind: "mint"}))
		must(t, s.Abandon(ctx, account, "a1", store.Basis{}, want))
		check("refused", account, want)
	}
	if all, err := s.Heads(ctx); err != nil || len(all) != 0 {
		t.Errorf("it counts as a record: %d (%v)", len(all), err)
	}

	must(t, s.Intend(ctx, store.Intent{Account: "other", Attempt: "a2", Kind: "mint"}))
	check("another is announced", "other", want)
	must(t, s.Abandon(ctx, "other", "a2", store.Basis{}, store.Health{Failures: 2}))
	check("another has failed otherwise", "other", store.Health{})

	first := First("main")
	must(t, s.Commit(ctx, first))
	s = reopen(t, s, o)
	if got, err := s.Load(ctx, "main"); err != nil || got.Health.KeyRefused != "" {
		t.Errorf("beside a record: %+v (%v)", got.Health, err)
	}
}

func testAbandonStoresHealth(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	must(t, s.Intend(ctx, store.Intent{Account: "new", Attempt: "a1"}))
	must(t, s.Abandon(ctx, "new", "a1", store.Basis{}, store.Health{Failures: 1}))
	_, err := s.Load(ctx, "new")
	wantErr(t, err, store.ErrNotFound)

	want := First("main")
	must(t, s.Commit(ctx, want))
	must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a2", Version: 1}))
	want.Health = store.Health{Failures: 4, LastError: "HTTP 503", LastKind: sdk.KindTransient, LastFailure: start}
	must(t, s.Abandon(ctx, "main", "a2", at(1), want.Health))
	s = reopen(t, s, o)
	for _, account := range []string{"new", "main"} {
		if _, ok, err := s.Intent(ctx, account); err != nil || ok {
			t.Errorf("the intent of %s still stands (%v)", account, err)
		}
	}
	got, err := s.Load(ctx, "main")
	must(t, err)
	if d := Diff(got, want); d != "" {
		t.Error(d)
	}
	want.Health = store.Health{}
	must(t, s.Abandon(ctx, "main", "whichever", at(1), want.Health))
	if got, err = s.Load(ctx, "main"); err != nil || Diff(got, want) != "" {
		t.Errorf("abandoning where nothing stands: %v %s", err, Diff(got, want))
	}
}

func testLedger(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	one := delivered(store.Delivery{Sink: "bot", Account: "main", Version: 7, At: start, Latency: 3 * time.Millisecond, Expiry: start.Add(30 * time.Minute)})
	two := delivered(store.Delivery{Sink: "bot", Account: "other", Version: 1, At: start})
	// A sink whose name begins like another's is not that one.
	more := delivered(store.Delivery{Sink: "bot-2", Account: "main", Version: 2, At: start})
	older := one
	older.Version = 6
	for _, d := range []store.Delivery{one, older, two, more} {
		must(t, s.MarkDelivered(ctx, d))
	}
	check := func(when string, s store.Store) {
		t.Helper()
		for _, want := range []store.Delivery{one, two, more} {
			if got := ledger(t, s, want.Sink, want.Account); !sameDelivery(got, want) {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
	}
	check("while pending", s)
	s = reopen(t, s, o)
	check("after Close", s)
	must(t, s.MarkDelivered(ctx, older))
	must(t, s.Commit(ctx, First("main"))) // it rides along
	check("after an older one", s)
	if line := ledger(t, s, "nobody", "main"); line != (store.Delivery{}) {
		t.Errorf("a line of a sink without deliveries: %+v", line)
	}
}

func testEndedContext(t *testing.T, o Opener) {
	s := open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, s.Commit(ctx, First("main")), context.Canceled)
	_, err := s.Load(ctx, "main")
	wantErr(t, err, context.Canceled)
	_, err = s.Heads(ctx)
	wantErr(t, err, context.Canceled)
	_, err = s.Delivery(ctx, "bot", "main")
	wantErr(t, err, context.Canceled)
	_, err = s.Load(t.Context(), "main")
	wantErr(t, err, store.ErrNotFound)
}

func testClosed(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	must(t, s.Commit(ctx, First("main")))
	must(t, s.Close())
	must(t, s.Close())
	wantErr(t, s.Commit(ctx, First("other")), store.ErrClosed)
	wantErr(t, s.MarkDelivered(ctx, store.Delivery{Sink: "bot", Account: "main", Version: 1}), store.ErrClosed)
	_, err := s.Load(ctx, "main")
	wantErr(t, err, store.ErrClosed)
	_, err = s.Heads(ctx)
	wantErr(t, err, store.ErrClosed)
	_, err = s.Delivery(ctx, "bot", "main")
	wantErr(t, err, store.ErrClosed)
}
