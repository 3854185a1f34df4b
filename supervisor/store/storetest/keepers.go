package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Pair opens two handles on one and the same place, as two keepers have them.
type Pair func(t testing.TB, o Opener) (one, other store.Store)

// OneHandle is the pair of an engine that lets nobody else have its place: both keepers
// use the one handle, each with what it has read itself.
func OneHandle(t testing.TB, o Opener) (one, other store.Store) {
	s := open(t, o)
	return &Lossy{Store: s}, &Lossy{Store: s}
}

// TwoHandles is the pair of an engine whose Opener may be called while a store that it
// has returned before is open.
func TwoHandles(t testing.TB, o Opener) (one, other store.Store) { return open(t, o), open(t, o) }

// RunKeepers runs what two keepers of the same accounts may rely on.
func RunKeepers(t *testing.T, place Place, pair Pair) {
	t.Run("Refusals", func(t *testing.T) {
		for _, c := range rivalries() {
			t.Run(c.name, func(t *testing.T) {
				ctx := t.Context()
				a, b := pair(t, place(t))
				must(t, a.Commit(ctx, First("main")))
				if c.both != nil {
					must(t, c.both(ctx, a))
				}
				must(t, c.faster(ctx, b))
				want, err := Records(ctx, b)
				must(t, err)
				in, _, err := b.Intent(ctx, "main")
				must(t, err)
				wantErr(t, c.slower(ctx, a), c.want)
				got, err := Records(ctx, a)
				must(t, err)
				if len(got) != len(want) {
					t.Fatalf("%d records, want %d", len(got), len(want))
				}
				for n := range want {
					if d := Diff(got[n], want[n]); d != "" {
						t.Errorf("the slower has changed the record: %s", d)
					}
				}
				if is, _, err := a.Intent(ctx, "main"); err != nil || !sameIntent(is, in) {
					t.Errorf("the slower sees attempt %+v (%v), want %+v", is, err, in)
				}
			})
		}
	})
	t.Run("Ledger", func(t *testing.T) { testLedgerOfTwo(t, pair, place(t)) })
	t.Run("EveryVersionOnce", func(t *testing.T) {
		a, b := pair(t, place(t))
		everyVersionOnce(t, a, b)
	})
	t.Run("Walk", func(t *testing.T) { testWalk(t, place, pair) })
}

// rivalry is what two keepers do who have both read the same: the record First, and what
// was made by both before.
type rivalry struct {
	name                 string
	both, faster, slower func(context.Context, store.Store) error
	want                 error
}

func rivalries() []rivalry {
	first := First("main")
	second := first.Next(Token("main", 2), store.OriginRefresh, "a1", start)
	intent := func(attempt string) store.Intent {
		return store.Intent{Account: "main", Attempt: attempt, Version: 1, Grant: 1, At: start}
	}
	type does = func(context.Context, store.Store) error
	announced := func(ctx context.Context, s store.Store) error { return s.Intend(ctx, intent("a1")) }
	replayed := func(ctx context.Context, s store.Store) error { return s.Replace(ctx, "a1", intent("b1")) }
	commit := func(rec store.Record) does {
		return func(ctx context.Context, s store.Store) error { return s.Commit(ctx, rec) }
	}
	loggedIn := commit(first.Next(Token("person", 1), store.OriginLogin, "a1", start))
	// anew has another login stand at the version, and in the grant, that is told.
	anew := func(version, grant uint64) does {
		return func(ctx context.Context, s store.Store) error {
			if err := Forget(ctx, s, "main"); err != nil {
				return err
			}
			rec := store.Record{Account: "main"}
			for rec.Version < version {
				origin := store.OriginRefresh
				if rec.Grant < grant {
					origin = store.OriginLogin
				}
				rec = rec.Next(Token("anew", rec.Version+1), origin, "", start)
				if err := s.Commit(ctx, rec); err != nil {
					return err
				}
			}
			return nil
		}
	}
	old, new := store.Pause{Since: start, Until: start.Add(time.Hour)}, store.Pause{Since: start.Add(2 * time.Hour)}
	alert := event.Alert{Key: "disk_trouble:*", Type: event.DiskTrouble, Version: 3, Since: start, ChangedAt: start}
	raised := alert
	raised.Version = 4
	abandon := func(attempt string) does {
		return func(ctx context.Context, s store.Store) error {
			return s.Abandon(ctx, "main", attempt, at(1), store.Health{Failures: 9})
		}
	}
	begun := func(state string) does {
		return func(ctx context.Context, s store.Store) error {
			return s.PutLogin(ctx, store.Login{Account: "main", State: state, At: start, Until: start.Add(time.Hour)})
		}
	}
	return []rivalry{
		{"both announce", nil, func(ctx context.Context, s store.Store) error { return s.Intend(ctx, intent("b1")) }, announced, store.ErrConflict},
		{"both replay", announced, replayed, func(ctx context.Context, s store.Store) error { return s.Replace(ctx, "a1", intent("a2")) }, store.ErrConflict},
		{"one is paused while its attempt is replayed: its answer", announced, replayed, commit(second), store.ErrConflict},
		{"its failure", announced, replayed, abandon("a1"), store.ErrConflict},
		{"its doubt", announced, replayed, func(ctx context.Context, s store.Store) error { return s.Replace(ctx, "a1", intent("a1")) }, store.ErrConflict},
		{"one is paused while a person logs in: its answer", announced, loggedIn, commit(second), store.ErrConflict},
		{"its failure, of another version", announced, loggedIn, abandon("a1"), store.ErrConflict},
		{"its next announcement", nil, loggedIn, announced, store.ErrConflict},
		{"two log in", nil, loggedIn, commit(first.Next(Token("rival", 1), store.OriginLogin, "", start)), store.ErrConflict},
		{"the name is of another login, which has come as far: an announcement", commit(second), anew(2, 2), func(ctx context.Context, s store.Store) error {
			in := intent("a2")
			in.Version = 2
			return s.Intend(ctx, in)
		}, store.ErrConflict},
		{"… an answer", commit(second), anew(2, 2), commit(second.Next(Token("main", 3), store.OriginRefresh, "a2", start)), store.ErrLineage},
		{"… a verdict", commit(second), anew(2, 2), func(ctx context.Context, s store.Store) error {
			return s.Abandon(ctx, "main", "a2", second.Basis(), store.Health{NeedsLogin: "all is over"})
		}, store.ErrConflict},
		{"… the end of what waits", commit(second), anew(2, 2), func(ctx context.Context, s store.Store) error {
			return s.PutBeside(ctx, "main", "", second.Basis(), nil)
		}, store.ErrConflict},
		{"… another name", commit(second), anew(2, 2), func(ctx context.Context, s store.Store) error {
			return s.Rename(ctx, "main", "new", second.Basis())
		}, store.ErrConflict},
		{"… and it is forgotten", commit(second), anew(2, 2), func(ctx context.Context, s store.Store) error {
			return s.Forget(ctx, "main", "", second.Basis())
		}, store.ErrConflict},
		{"it is renamed: an answer", nil, func(ctx context.Context, s store.Store) error { return s.Rename(ctx, "main", "new", at(1)) }, commit(second), store.ErrConflict},
		{"it is forgotten while it is announced", nil, announced, func(ctx context.Context, s store.Store) error {
			return s.Forget(ctx, "main", "", at(1))
		}, store.ErrConflict},
		{"both begin a login", nil, begun("b"), begun("a"), store.ErrConflict},
		{"a pause is over by itself while a person pauses anew",
			func(ctx context.Context, s store.Store) error { return s.PutPause(ctx, "main", nil, &old) },
			func(ctx context.Context, s store.Store) error { return s.PutPause(ctx, "main", &old, &new) },
			func(ctx context.Context, s store.Store) error { return s.PutPause(ctx, "main", &old, nil) }, store.ErrConflict},
		{"an alert that is over is raised anew",
			func(ctx context.Context, s store.Store) error { return s.SaveAlert(ctx, alert) },
			func(ctx context.Context, s store.Store) error { return s.SaveAlert(ctx, raised) },
			func(ctx context.Context, s store.Store) error { return s.DropAlert(ctx, alert.Key, alert.Version) }, store.ErrConflict},
	}
}

// testLedgerOfTwo: whoever notes last, what a sink has is the newest that anybody has noted.
func testLedgerOfTwo(t *testing.T, pair Pair, o Opener) {
	ctx := t.Context()
	a, b := pair(t, o)
	for n, s := range []store.Store{a, b} {
		must(t, s.MarkDelivered(ctx, store.Delivery{Sink: "bot", Account: "main", Version: uint64(7 - n), At: start}))
		must(t, s.Commit(ctx, First([]string{"one", "two"}[n]))) // it rides along
	}
	for _, s := range []store.Store{a, b} {
		if got := ledger(t, s, "bot", "main"); got.Version != 7 {
			t.Errorf("version %d is noted, want 7", got.Version)
		}
	}
}
