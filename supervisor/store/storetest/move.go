package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Everything of an account goes on under another name, and nothing under the old one.
func testRename(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	want := First("old")
	want.Unknown = map[string][]byte{"tier": []byte(`1`)}
	must(t, s.Commit(ctx, want))
	want = want.Next(Token("old", 2), store.OriginRefresh, "a2", start)
	must(t, s.Commit(ctx, want))
	mark := store.Intent{Account: "old", Provider: "saxo", Attempt: "a3", Kind: "refresh", Version: 2, At: start, AmbiguousSince: start, Unread: true}
	must(t, s.Intend(ctx, mark))
	must(t, s.PutLogin(ctx, store.Login{Account: "old", State: "s1", At: start, Until: start.Add(time.Hour)}))
	must(t, s.PutLogin(ctx, store.Login{Account: "new", State: "s2", At: start, Until: start.Add(time.Hour)}))
	must(t, s.PutRequests(ctx, "old", []store.Request{{Attempt: "a2", At: start.Add(time.Minute)}}))
	must(t, s.PutRequests(ctx, "new", []store.Request{{Attempt: "b1", At: start}}))
	must(t, s.Abandon(ctx, "new", "b1", store.Basis{}, store.Health{KeyRefused: "0011223344556677"}))
	for _, account := range []string{"old", "new", "older"} {
		must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "bot", Account: account, Version: 1}))
	}
	_, err := s.Heads(ctx) // whose order is kept from now on
	must(t, err)
	must(t, s.Rename(ctx, "old", "new", at(2)))
	must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "later", Account: "new", Version: 2}))

	want.Account, mark.Account = "new", "new"
	for _, when := range []string{"at once", "after reopening"} {
		if _, err := s.Load(ctx, "old"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: the old name: %v", when, err)
		}
		got, err := s.Load(ctx, "new")
		must(t, err)
		if d := Diff(got, want); d != "" {
			t.Errorf("%s: %s", when, d)
		}
		if list, err := Records(ctx, s); err != nil || len(list) != 1 {
			t.Errorf("%s: %d are listed (%v)", when, len(list), err)
		}
		if in, ok, err := s.Intent(ctx, "new"); err != nil || !ok || !sameIntent(in, mark) {
			t.Errorf("%s: the attempt is %+v (%v, %v)", when, in, ok, err)
		}
		if _, ok, _ := s.Intent(ctx, "old"); ok {
			t.Errorf("%s: an attempt stands under the old name", when)
		}
		if all, err := s.Logins(ctx); err != nil || len(all) != 1 || all[0].Account != "new" || all[0].State != "s2" {
			t.Errorf("%s: logins %+v (%v)", when, all, err)
		}
		if all, err := s.Requests(ctx, "new"); err != nil || len(all) != 2 || all[0].Attempt != "b1" || all[1].Attempt != "a2" {
			t.Errorf("%s: requests %+v (%v)", when, all, err)
		}
		passed(t, s, when, map[string]bool{"old": true, "new": false})
		if all, _ := s.Requests(ctx, "old"); len(all) != 0 {
			t.Errorf("%s: requests of the old name %+v", when, all)
		}
		has := fmt.Sprint(ledger(t, s, "bot", "old").Version, ledger(t, s, "bot", "new").Version, ledger(t, s, "bot", "older").Version, ledger(t, s, "later", "new").Version)
		if has != "0 0 1 2" {
			t.Errorf("%s: the ledger has %s", when, has)
		}
		s = reopen(t, s, o)
	}
	// The chain goes on, and the old name is free.
	must(t, s.Replace(ctx, "a3", store.Intent{Account: "new", Attempt: "a4", Version: 2, Replays: "a3", At: start}))
	must(t, s.Commit(ctx, want.Next(Token("new", 3), store.OriginRefresh, "a4", start)))
	must(t, s.Commit(ctx, First("old")))
	passed(t, s, "after another login", map[string]bool{"old": true, "new": false})
}

// A login that comes back to a name it had is no stranger there, whatever it was called
// meanwhile: what destinations hold under that name from before is its own.
func testRenameBack(t *testing.T, o Opener) {
	ctx := t.Context()
	rename := func(s store.Store, names ...string) {
		t.Helper()
		for n, to := range names[1:] {
			rec, err := s.Load(ctx, names[n])
			must(t, err)
			must(t, s.Rename(ctx, names[n], to, rec.Basis()))
		}
	}
	s := open(t, o)
	must(t, s.Commit(ctx, First("a")))
	rename(s, "a", "b", "c", "a")
	for _, when := range []string{"at once", "after reopening"} {
		passed(t, s, when, map[string]bool{"a": false, "b": true, "c": true})
		s = reopen(t, s, o)
	}
	rename(s, "a", "b")
	passed(t, s, "once more", map[string]bool{"a": true, "b": false, "c": true})

	// Another login has the name meanwhile.
	must(t, s.Commit(ctx, First("a")))
	must(t, Forget(ctx, s, "a"))
	rename(s, "b", "a")
	passed(t, s, "after another one that was forgotten", map[string]bool{"a": true, "b": true, "c": true})
	other, err := s.Passed(ctx, "a")
	must(t, err)
	rename(s, "a", "c", "a")
	again, err := s.Passed(ctx, "a")
	if must(t, err); !again.Equal(other) {
		t.Errorf("the name was free of another login at %s, and by now at %s", other, again)
	}
	// What left a name is one login, and what comes is another.
	must(t, s.Commit(ctx, First("d")))
	rename(s, "d", "e")
	must(t, Forget(ctx, s, "e"))
	must(t, s.Commit(ctx, First("e")))
	rename(s, "e", "d")
	passed(t, s, "another login of the name between", map[string]bool{"d": true, "e": true})
}

// passed checks which names have lost a login, just now.
func passed(t *testing.T, s store.Store, when string, names map[string]bool) {
	t.Helper()
	for name, want := range names {
		at, err := s.Passed(t.Context(), name)
		if err != nil || at.IsZero() == want || want && time.Since(at).Abs() > time.Hour {
			t.Errorf("%s: the name %s was free %s (%v)", when, name, at, err)
		}
	}
}

// What could be lost by it is not renamed, and nothing has changed.
func testRenameRefused(t *testing.T, o Opener) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		prepare func(s store.Store) error
		version uint64
		want    error
	}{
		"another version":            {nil, 2, store.ErrConflict},
		"nothing is stored of it":    {func(s store.Store) error { return Forget(ctx, s, "old") }, 0, store.ErrNotFound},
		"the new name has a token":   {func(s store.Store) error { return s.Commit(ctx, First("new")) }, 1, store.ErrConflict},
		"an attempt of the new name": {func(s store.Store) error { return s.Intend(ctx, store.Intent{Account: "new", Attempt: "x"}) }, 1, store.ErrConflict},
		"an attempt is open": {func(s store.Store) error {
			return s.Intend(ctx, store.Intent{Account: "old", Attempt: "x", Version: 1, Kind: "refresh"})
		}, 1, store.ErrConflict},
		"a login's attempt": {func(s store.Store) error {
			return s.Intend(ctx, store.Intent{Account: "old", Attempt: "x", Version: 1, Kind: "exchange", AmbiguousSince: start})
		}, 1, store.ErrConflict},
		"a version is held": {func(s store.Store) error {
			return s.Hold(ctx, First("old").Next(Token("old", 2), store.OriginRefresh, "x", start))
		}, 1, store.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, o)
			_ = Forget(ctx, s, "new")
			_ = Forget(ctx, s, "old")
			must(t, s.Commit(ctx, First("old")))
			if c.prepare != nil {
				must(t, c.prepare(s))
			}
			before, berr := Records(ctx, s)
			wantErr(t, s.Rename(ctx, "old", "new", at(c.version)), c.want)
			after, aerr := Records(ctx, s)
			if len(before) != len(after) || berr != nil || aerr != nil {
				t.Errorf("%d records, and %d before (%v, %v)", len(after), len(before), aerr, berr)
			}
			must(t, s.Close())
		})
	}
}

// Of an account that is forgotten nothing is left, and others keep theirs.
func testForget(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	wantErr(t, Forget(ctx, s, "gone"), store.ErrNotFound)
	for _, account := range []string{"gone", "gone-not"} {
		must(t, s.Commit(ctx, First(account)))
		must(t, s.Intend(ctx, store.Intent{Account: account, Attempt: "x", Version: 1}))
		must(t, s.PutLogin(ctx, store.Login{Account: account, State: "s", At: start, Until: start.Add(time.Hour)}))
		must(t, s.PutRequests(ctx, account, []store.Request{{Attempt: "x", At: start}}))
		must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "bot", Account: account, Version: 1}))
	}
	_, err := s.Heads(ctx)
	must(t, err)
	must(t, Forget(ctx, s, "gone"))
	for _, when := range []string{"at once", "after reopening"} {
		list, err := Records(ctx, s)
		if err != nil || len(list) != 1 || list[0].Account != "gone-not" {
			t.Errorf("%s: %d records (%v)", when, len(list), err)
		}
		passed(t, s, when, map[string]bool{"gone": true, "gone-not": false, "never": false})
		logins, err := s.Logins(ctx)
		must(t, err)
		for account, want := range map[string]bool{"gone": false, "gone-not": true} {
			_, stands, ierr := s.Intent(ctx, account)
			requests, rerr := s.Requests(ctx, account)
			if stands != want || len(requests) > 0 != want || ledger(t, s, "bot", account).Version > 0 != want || len(logins) != 1 || errors.Join(ierr, rerr) != nil {
				t.Errorf("%s: %s: attempt %v, %d requests, %d logins, ledger %+v (%v, %v)", when, account, stands, len(requests), len(logins), ledger(t, s, "bot", account), ierr, rerr)
			}
		}
		s = reopen(t, s, o)
	}
	wantErr(t, Forget(ctx, s, "gone"), store.ErrNotFound)
	must(t, s.Commit(ctx, First("gone")))
	must(t, s.PutRequests(ctx, "never", []store.Request{{Attempt: "x", At: start}}))
	must(t, Forget(ctx, s, "never")) // had no login
	passed(t, s, "at last", map[string]bool{"gone": true, "never": false})
	must(t, s.Close())
	_, err = s.Passed(ctx, "gone")
	wantErr(t, err, store.ErrClosed)
}

func (m *model) rename(t *rapid.T) {
	from, to := account(t), account(t)
	rec, exists := m.records[from]
	_, taken := m.records[to]
	in, stands := m.intents[from]
	_, others := m.intents[to]
	at, fits := basis(t, rec)
	err := m.store.Rename(t.Context(), from, to, at)
	if !exists {
		if !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("renaming nothing: %v", err)
		}
		return
	}
	ok := fits && !taken && !others && (!stands || in.IsMarked())
	expect(t, err, ok)
	if !ok {
		return
	}
	rec.Account = to
	m.records[to] = rec
	if stands {
		in.Account = to
		m.intents[to] = in
	}
	m.lose(from)
	for _, sink := range sinks {
		delete(m.ledger, sink+"/"+to)
	}
}

func (m *model) forget(t *rapid.T) {
	acc, att := account(t), rapid.SampledFrom(append(attempts, "")).Draw(t, "attempt")
	at, fits := basis(t, m.records[acc])
	err := m.store.Forget(t.Context(), acc, att, at)
	if errors.Is(err, store.ErrNotFound) {
		err, fits, att = nil, true, m.intents[acc].Attempt
	}
	ok := fits && att == m.intents[acc].Attempt
	expect(t, err, ok)
	if ok {
		m.lose(acc)
	}
}

// lose has nothing be stored of an account any more.
func (m *model) lose(acc string) {
	delete(m.records, acc)
	delete(m.intents, acc)
	for _, sink := range sinks {
		delete(m.ledger, sink+"/"+acc)
	}
}
