package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A version must descend from the one that stands, or be a grant of its own.
func testLineage(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	must(t, s.Commit(ctx, First("main")))
	second := First("main").Next(Token("main", 2), store.OriginRefresh, "a2", start)
	must(t, s.Commit(ctx, second))
	s = reopen(t, s, o)
	next := func(change func(*store.Record), origin store.Origin) store.Record {
		r := second.Next(Token("main", 3), origin, "a3", start)
		change(&r)
		return r
	}
	for name, rec := range map[string]store.Record{
		"an answer to the refresh token before":    next(func(r *store.Record) { r.Parent = second.Parent }, store.OriginRefresh),
		"an answer to no refresh token":            next(func(r *store.Record) { r.Parent = "" }, store.OriginRefresh),
		"an answer of an earlier grant":            next(func(r *store.Record) { r.Grant-- }, store.OriginRefresh),
		"an answer of a later grant":               next(func(r *store.Record) { r.Grant++ }, store.OriginRefresh),
		"a login of the same grant":                next(func(r *store.Record) { r.Grant-- }, store.OriginLogin),
		"an import of a later grant":               next(func(r *store.Record) { r.Grant++ }, store.OriginImport),
		"a login with a parent":                    next(func(r *store.Record) { r.Parent = second.Parent }, store.OriginLogin),
		"another token that claims to be the same": next(func(r *store.Record) { r.Grant, r.Parent, r.Attempt = second.Grant, second.Parent, second.Attempt }, second.Origin),
		"the same token from elsewhere":            func() store.Record { r := second.Told(start, start); r.Parent = "ffff"; return r }(),
		"a find that begins a grant":               next(func(r *store.Record) { r.Grant++ }, store.OriginExternal),
	} {
		for call, err := range map[string]error{"commit": s.Commit(ctx, rec), "hold": s.Hold(ctx, rec)} {
			if !errors.Is(err, store.ErrLineage) || !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s of %s: %v", call, name, err)
			}
		}
		if got, err := s.Load(ctx, "main"); err != nil || Diff(got, second) != "" {
			t.Fatalf("%s: the record changed: %s (%v)", name, Diff(got, second), err)
		}
	}
	told := second.Told(start.Add(-time.Hour), start)
	must(t, s.Commit(ctx, told))
	if got, err := s.Load(ctx, "main"); err != nil || Diff(got, told) != "" {
		t.Fatalf("told of its login: %s (%v)", Diff(got, told), err)
	}
	for _, origin := range []store.Origin{store.OriginRefresh, store.OriginLogin, store.OriginImport, store.OriginExternal, store.OriginRestore} {
		rec, err := s.Load(ctx, "main")
		must(t, err)
		must(t, s.Commit(ctx, rec.Next(Token("main", rec.Version+1), origin, "", start)))
	}
}

// A record that was brought, or found, and has what an attempt has sent leaves that open,
// in the same transaction; so it does with one over which a login stands. Any other ends it.
func testLeftOpen(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	first := First("main")
	must(t, s.Commit(ctx, first))
	sent := store.Intent{Account: "main", Attempt: "a2", Kind: "refresh", Version: 1, Grant: first.Grant,
		Fingerprint: first.Token.RefreshToken.Fingerprint(), At: start, AmbiguousSince: start}
	must(t, s.Intend(ctx, sent))
	token := first.Token
	token.AccessToken = sdk.NewSecret("of a file")
	brought := first.Next(token, store.OriginImport, "", start.Add(time.Hour))
	wantErr(t, s.Commit(ctx, brought), store.ErrConflict) // as ever, of who knows of no attempt
	brought.Attempt = "a2"
	must(t, s.Commit(ctx, brought))
	stands := func(version uint64) {
		t.Helper()
		s = reopen(t, s, o)
		rec, err := s.Load(ctx, "main")
		must(t, err)
		want := sent
		want.Version, want.Grant = version, rec.Grant
		if in, ok, err := s.Intent(ctx, "main"); err != nil || !ok || !sameIntent(in, want) || rec.Version != version {
			t.Errorf("version %d, intent %+v (%v, %v), want %+v", rec.Version, in, ok, err, want)
		}
	}
	stands(2)
	in, _, err := s.Intent(ctx, "main")
	must(t, err)
	over := store.Intent{Account: "main", Attempt: "l3", Kind: "exchange", Version: 2, At: start, Before: &in}
	must(t, s.Replace(ctx, "a2", over))
	token.AccessToken = sdk.NewSecret("found")
	must(t, s.Commit(ctx, brought.Next(token, store.OriginExternal, "l3", start.Add(2*time.Hour))))
	stands(3)
	rec, err := s.Load(ctx, "main")
	must(t, err)
	must(t, s.Commit(ctx, rec.Next(Token("another", 1), store.OriginImport, "a2", start.Add(3*time.Hour))))
	if in, ok, err := s.Intent(ctx, "main"); err != nil || ok {
		t.Errorf("over another token: %+v, %v", in, err)
	}
}

// What was not installed stays beside the record for a day, and ends its own
// intent alone.
func testEvidence(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	late := func(n uint64) store.Evidence {
		return store.Evidence{
			Attempt: fmt.Sprint("late-", n), Kind: "refresh", Version: 1, Grant: 1, Parent: "0123456789abcdef",
			Token: Token("late", n), At: start.Add(time.Duration(n) * time.Minute), Why: "the grant is another <one>",
		}
	}
	wantErr(t, s.SetAside(ctx, "main", late(1)), store.ErrNotFound)
	first := First("main")
	must(t, s.Commit(ctx, first))
	standing := store.Intent{Account: "main", Attempt: "a2", Version: 1, At: start}
	must(t, s.Intend(ctx, standing))
	over := standing
	over.Attempt, over.Before = "late-2", &standing
	must(t, s.SetAside(ctx, "main", late(1)))
	must(t, s.Replace(ctx, "a2", over))
	must(t, s.SetAside(ctx, "main", late(2)))
	must(t, s.SetAside(ctx, "main", late(2)))
	s = reopen(t, s, o)
	if in, ok, err := s.Intent(ctx, "main"); err != nil || !ok || !sameIntent(in, standing) {
		t.Errorf("intent %+v (%v, %v), want %+v", in, ok, err, standing)
	}
	want := first
	for _, n := range []uint64{2, 1} {
		e := late(n)
		e.Until = e.At.Add(store.EvidenceLife)
		want.Evidence = append(want.Evidence, e)
	}
	got, err := s.Load(ctx, "main")
	must(t, err)
	if d := Diff(got, want); d != "" {
		t.Error(d)
	}
	must(t, s.Abandon(ctx, "main", "a2", got.Basis(), store.Health{}))
	// A version keeps it, but what has become its token.
	must(t, s.Commit(ctx, got.Next(Token("late", 1), store.OriginImport, "", start.Add(time.Hour))))
	if got, err = s.Load(ctx, "main"); err != nil || len(got.Evidence) != 1 || got.Evidence[0].Attempt != "late-2" {
		t.Errorf("the next version has %d (%v)", len(got.Evidence), err)
	}
	if n := len(got.Late(start.Add(2*time.Minute + store.EvidenceLife))); n != 0 {
		t.Errorf("%d after their day", n)
	}
	for n := uint64(3); n < 40; n++ {
		must(t, s.SetAside(ctx, "main", late(n)))
	}
	if got, err = s.Load(ctx, "main"); err != nil || len(got.Evidence) != 16 || got.Evidence[0].Attempt != "late-39" {
		t.Errorf("%d are kept (%v)", len(got.Evidence), err)
	}
}
