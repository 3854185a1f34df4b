package storetest

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A pause needs no record, outlives attempts and versions, and ends by a word alone.
func testPause(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	check := func(when string, want *store.Pause) {
		t.Helper()
		for _, when := range []string{when, when + ", reopened"} {
			got, ok, err := s.Pause(ctx, "main")
			must(t, err)
			if ok != (want != nil) || ok && got != *want {
				t.Errorf("%s: %+v, %v, want %+v", when, got, ok, want)
			}
			s = reopen(t, s, o)
		}
	}
	check("at first", nil)
	p := store.Pause{Since: start, By: event.Caller{UID: 1000, PID: 7, Program: "/usr/bin/tokenkeeper"}, Reason: "the broker's \"incident\" <7>"}
	must(t, s.PutPause(ctx, "main", nil, &p))
	must(t, s.PutPause(ctx, "main", nil, &p)) // who does not know whether it was taken
	check("paused", &p)
	was := p
	must(t, s.Intend(ctx, store.Intent{Account: "main", Attempt: "a1"}))
	first := First("main")
	must(t, s.Commit(ctx, first))
	p.Until = start.Add(2 * time.Hour)
	wantErr(t, s.PutPause(ctx, "main", nil, &p), store.ErrConflict)
	must(t, s.PutPause(ctx, "main", &was, &p))
	wantErr(t, s.PutPause(ctx, "main", &was, nil), store.ErrConflict)
	check("with a record, for a while", &p)
	if got, err := s.Load(ctx, "main"); err != nil || got.Version != first.Version {
		t.Errorf("the record is at version %d, %v", got.Version, err)
	}
	if _, ok, err := s.Pause(ctx, "other"); ok || err != nil {
		t.Errorf("another account is paused: %v, %v", ok, err)
	}
	must(t, s.Rename(ctx, "main", "moved", at(first.Version)))
	if got, ok, err := s.Pause(ctx, "moved"); !ok || err != nil || got != p {
		t.Errorf("under its new name: %+v, %v, %v", got, ok, err)
	}
	check("under the old one", nil)
	must(t, Forget(ctx, s, "moved"))
	if _, ok, err := s.Pause(ctx, "moved"); ok || err != nil {
		t.Errorf("forgotten: %v, %v", ok, err)
	}
	must(t, s.PutPause(ctx, "main", nil, &p))
	must(t, s.PutLogin(ctx, store.Login{Account: "main", State: "s1", At: start, Until: start.Add(time.Hour)}))
	must(t, s.DropLogin(ctx, "main", "s1"))
	check("without a record, once nothing else is stored any more", &p)
	must(t, s.PutPause(ctx, "main", &p, nil))
	check("resumed", nil)
	must(t, s.PutPause(ctx, "main", &p, nil))
	if s.PutPause(ctx, "a/b", nil, &p) == nil {
		t.Error("a pause was stored that could not be found again")
	}
	must(t, s.Close())
	wantErr(t, s.PutPause(ctx, "main", nil, &p), store.ErrClosed)
	_, _, err := s.Pause(ctx, "main")
	wantErr(t, err, store.ErrClosed)
}
