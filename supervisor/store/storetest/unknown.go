package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// unknown is a change whose outcome can be read back.
type unknown struct {
	name   string
	before func(context.Context, store.Store) error
	change func(context.Context, store.Store) error
	// stands says whether it was made.
	stands func(context.Context, store.Store) (bool, error)
	// again is what is said to who makes it once more though it was made.
	again error
}

func unknowns() []unknown {
	first := First("main")
	second := first.Next(Token("main", 2), store.OriginRefresh, "a2", start)
	intent := func(attempt string) store.Intent {
		return store.Intent{Account: "main", Attempt: attempt, Version: 1, Grant: 1, At: start, Fingerprint: first.Token.RefreshToken.Fingerprint()}
	}
	a1, over := intent("a1"), intent("a2")
	over.Before = &a1
	login := store.Login{Account: "main", State: "s1", At: start, Until: start.Add(time.Hour)}
	pause := store.Pause{Since: start, Reason: "an incident"}
	alert := event.Alert{Key: "disk_trouble:*", Type: event.DiskTrouble, Version: 3, Since: start, ChangedAt: start}
	type does = func(context.Context, store.Store) error
	type says = func(context.Context, store.Store) (bool, error)
	all := func(steps ...does) does {
		return func(ctx context.Context, s store.Store) error {
			for _, step := range steps {
				if err := step(ctx, s); err != nil {
					return err
				}
			}
			return nil
		}
	}
	intends := func(in store.Intent) does {
		return func(ctx context.Context, s store.Store) error { return s.Intend(ctx, in) }
	}
	replaces := func(was string, in store.Intent) does {
		return func(ctx context.Context, s store.Store) error { return s.Replace(ctx, was, in) }
	}
	open := func(attempt string) says {
		return func(ctx context.Context, s store.Store) (bool, error) {
			in, _, err := s.Intent(ctx, "main")
			return in.Attempt == attempt, err
		}
	}
	has := func(is func(store.Record) bool) says {
		return func(ctx context.Context, s store.Store) (bool, error) {
			rec, err := s.Load(ctx, "main")
			return is(rec), err
		}
	}
	none := func(context.Context, store.Store) error { return nil }
	return []unknown{
		{"an announcement", none, intends(a1), open("a1"), nil},
		{"a replay", intends(a1), replaces("a1", intent("a2")), open("a2"), store.ErrConflict},
		{"a token", intends(intent("a2")),
			func(ctx context.Context, s store.Store) error { return s.Commit(ctx, second) },
			has(func(r store.Record) bool { return r.Version == 2 && r.Attempt == "a2" }), store.ErrConflict},
		{"the end of an attempt", intends(a1),
			func(ctx context.Context, s store.Store) error {
				return s.Abandon(ctx, "main", "a1", at(1), store.Health{Failures: 7})
			}, has(func(r store.Record) bool { return r.Health.Failures == 7 }), nil},
		{"the end of a login over an attempt", all(intends(a1), replaces("a1", over)),
			func(ctx context.Context, s store.Store) error {
				return s.Abandon(ctx, "main", "a2", at(1), store.Health{})
			}, open("a1"), store.ErrConflict},
		{"another person's login", all(intends(a1), replaces("a1", over)),
			func(ctx context.Context, s store.Store) error {
				return s.PutBeside(ctx, "main", "a2", at(1), &store.Candidate{Token: Token("another", 1), Attempt: "a2", LoginAt: start})
			}, has(func(r store.Record) bool { return r.Candidate != nil && r.Candidate.Attempt == "a2" }), nil},
		{"evidence", none,
			func(ctx context.Context, s store.Store) error {
				return s.SetAside(ctx, "main", store.Evidence{Attempt: "late", Token: Token("late", 1), At: start})
			}, has(func(r store.Record) bool { return len(r.Evidence) == 1 && r.Evidence[0].Attempt == "late" }), nil},
		{"a begun login", none,
			func(ctx context.Context, s store.Store) error { return s.PutLogin(ctx, login) },
			func(ctx context.Context, s store.Store) (bool, error) {
				l, ok, err := s.Login(ctx, "main")
				return ok && l.State == "s1", err
			}, nil},
		{"the end of a begun login", func(ctx context.Context, s store.Store) error { return s.PutLogin(ctx, login) },
			func(ctx context.Context, s store.Store) error { return s.DropLogin(ctx, "main", "s1") },
			func(ctx context.Context, s store.Store) (bool, error) {
				_, ok, err := s.Login(ctx, "main")
				return !ok, err
			}, nil},
		{"requests", none,
			func(ctx context.Context, s store.Store) error {
				return s.PutRequests(ctx, "main", []store.Request{{Attempt: "a1", At: start}})
			},
			func(ctx context.Context, s store.Store) (bool, error) {
				all, err := s.Requests(ctx, "main")
				return len(all) == 1, err
			}, nil},
		{"a pause", none,
			func(ctx context.Context, s store.Store) error { return s.PutPause(ctx, "main", nil, &pause) },
			func(ctx context.Context, s store.Store) (bool, error) {
				p, _, err := s.Pause(ctx, "main")
				return p.Same(&pause), err
			}, nil},
		{"the end of a pause", func(ctx context.Context, s store.Store) error { return s.PutPause(ctx, "main", nil, &pause) },
			func(ctx context.Context, s store.Store) error { return s.PutPause(ctx, "main", &pause, nil) },
			func(ctx context.Context, s store.Store) (bool, error) {
				_, ok, err := s.Pause(ctx, "main")
				return !ok, err
			}, nil},
		{"another name", none,
			func(ctx context.Context, s store.Store) error { return s.Rename(ctx, "main", "new", at(1)) },
			func(ctx context.Context, s store.Store) (bool, error) {
				heads, err := s.Heads(ctx)
				return len(heads) == 1 && heads[0].Account == "new", err
			}, store.ErrNotFound},
		{"no account any more", intends(a1),
			func(ctx context.Context, s store.Store) error { return s.Forget(ctx, "main", "a1", at(1)) },
			func(ctx context.Context, s store.Store) (bool, error) {
				heads, err := s.Heads(ctx)
				return len(heads) == 0, err
			}, store.ErrNotFound},
		{"an alert", none,
			func(ctx context.Context, s store.Store) error { return s.SaveAlert(ctx, alert) },
			func(ctx context.Context, s store.Store) (bool, error) {
				all, err := s.Alerts(ctx)
				return len(all) == 1 && all[0].Version == 3, err
			}, nil},
		{"the end of an alert", func(ctx context.Context, s store.Store) error { return s.SaveAlert(ctx, alert) },
			func(ctx context.Context, s store.Store) error { return s.DropAlert(ctx, alert.Key, 3) },
			func(ctx context.Context, s store.Store) (bool, error) {
				all, err := s.Alerts(ctx)
				return len(all) == 0, err
			}, nil},
	}
}

// The answer to a change is lost: it is read back whether that was made, over a restart
// too, and to make it once more does no more.
func testUnknownOutcome(t *testing.T, o Opener) {
	ctx := t.Context()
	s := open(t, o)
	for _, c := range unknowns() {
		for _, how := range []Loss{Before, After, Late} {
			for account := range map[string]bool{"main": true, "new": true} {
				_ = Forget(ctx, s, account)
			}
			_ = s.DropAlert(ctx, "disk_trouble:*", 3)
			must(t, s.Commit(ctx, First("main")))
			must(t, c.before(ctx, s))
			l := &Lossy{Store: s}
			l.Lose(how)
			err := c.change(ctx, l)
			wantErr(t, err, store.ErrUnknown)
			made := how != Before
			if is, rerr := c.stands(ctx, l); is != made || rerr != nil && made {
				t.Errorf("%s, lost %s: it stands: %v (%v)", c.name, how, is, rerr)
			}
			if err = store.Made(err, func() (bool, error) { return c.stands(ctx, l) }); (err == nil) != made {
				t.Errorf("%s, lost %s: read back: %v", c.name, how, err)
			}
			s = reopen(t, s, o)
			var again error
			if made {
				again = c.again
			}
			wantErr(t, c.change(ctx, s), again)
			if is, rerr := c.stands(ctx, s); !is || rerr != nil {
				t.Errorf("%s, lost %s and made again: it stands: %v (%v)", c.name, how, is, rerr)
			}
		}
	}
}
