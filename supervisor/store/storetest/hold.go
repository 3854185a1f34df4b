package storetest

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func testHold(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	first := First("main")
	must(t, s.Commit(ctx, first))
	must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a2", Version: 1}))
	next := first.Next(Token("main", 2), store.OriginRefresh, "a2", start)

	skips, same, bare := next, next, next
	skips.Version, same.Version = 3, 1
	bare.Token.RefreshToken = sdk.Secret{}
	wantErr(t, s.Hold(ctx, skips), store.ErrConflict)
	wantErr(t, s.Hold(ctx, same), store.ErrConflict)
	if s.Hold(ctx, bare) == nil {
		t.Error("a record without a refresh token hides one that has it")
	}

	must(t, s.Hold(ctx, next))
	must(t, s.Hold(ctx, next))
	must(t, s.Hold(ctx, First("new"))) // a login of a new account
	held := next
	held.Held = true
	see := func(when string, want store.Record, accounts int) {
		t.Helper()
		got, err := s.Load(ctx, "main")
		must(t, err)
		list, err := Records(ctx, s)
		must(t, err)
		if len(list) != accounts {
			t.Fatalf("%s: %d records listed, want %d", when, len(list), accounts)
		}
		for _, got := range []store.Record{got, list[0]} {
			if d := Diff(got, want); d != "" {
				t.Errorf("%s: %s", when, d)
			}
		}
	}
	see("held", held, 2)
	if _, ok, err := s.Intent(ctx, "main"); err != nil || !ok {
		t.Errorf("the intent of what is held: %v, %v", ok, err)
	}
	// The next attempt can't begin before this one is stored.
	wantErr(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a3", Version: 2}), store.ErrConflict)

	must(t, s.Commit(ctx, held))
	see("committed", next, 2)

	third := next.Next(Token("main", 3), store.OriginRefresh, "a3", start)
	must(t, s.Hold(ctx, third))
	s = reopen(t, s, o)
	see("after reopening", next, 1)
	_, err := s.Load(ctx, "new")
	wantErr(t, err, store.ErrNotFound)
}

// testHeldDeliveries: a version that is held may get another token after the
// process has died, and the ledger must not say that it was delivered.
func testHeldDeliveries(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	must(t, s.Commit(ctx, First("main")))
	must(t, s.Hold(ctx, First("main").Next(Token("main", 2), store.OriginRefresh, "a2", start)))
	for version := uint64(1); version <= 2; version++ {
		must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "bot", Account: "main", Version: version, At: start}))
	}
	must(t, s.MarkTried(ctx, store.Tried{Sink: "hook", Account: "main", Version: 2, Result: store.ResultRefused}))
	must(t, s.Commit(ctx, First("other")))
	if got := ledger(t, s, "bot", "main"); got.Version != 2 {
		t.Errorf("the ledger of this process has version %d, want 2", got.Version)
	}
	s = reopen(t, s, o)
	if got := ledger(t, s, "bot", "main"); got.Version > 1 {
		t.Errorf("the delivery of a version that was only held was stored")
	}
	if got := ledger(t, s, "hook", "main"); got != (store.Delivery{}) {
		t.Errorf("the refusal of a version that was only held was stored: %+v", got)
	}
}
