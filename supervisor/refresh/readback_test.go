package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// lossyRig is a rig whose store may lose its next answer.
func lossyRig(t *testing.T, lifetime time.Duration) (*rig, *storetest.Lossy) {
	r := newRig(t, lifetime, "one")
	s := &storetest.Lossy{Store: r.store}
	r.store = s
	r.restart()
	return r, s
}

// Nobody knows whether the store has taken what a person wants: that is read back before
// he is told, and known here from then on.
func TestWhatAPersonDoesIsReadBack(t *testing.T) {
	pause := store.Pause{Since: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), By: somebody, Reason: "a migration"}
	for name, c := range map[string]struct {
		before, does func(*rig) error
		// is says whether it is done, as it is known here.
		is func(*rig) bool
	}{
		"an import": {
			does: func(r *rig) error {
				_, err := r.keeper.Import(r.t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true)
				return err
			},
			is: func(r *rig) bool { return r.status("one").Record.Version == 2 },
		},
		"the time of a login": {
			does: func(r *rig) error {
				_, err := r.keeper.TellLogin(r.t.Context(), "one", sdk.Secret{}, time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC))
				return err
			},
			is: func(r *rig) bool { return r.status("one").Record.Version == 2 },
		},
		"a pause": {
			does: func(r *rig) error {
				_, err := r.keeper.Pause(r.t.Context(), "one", pause)
				return err
			},
			is: func(r *rig) bool { return r.status("one").State == refresh.Paused },
		},
		"the end of a pause": {
			before: func(r *rig) error {
				_, err := r.keeper.Pause(r.t.Context(), "one", pause)
				return err
			},
			does: func(r *rig) error {
				_, err := r.keeper.Resume(r.t.Context(), "one", somebody)
				return err
			},
			is: func(r *rig) bool { return r.status("one").State != refresh.Paused },
		},
	} {
		for _, lost := range []storetest.Loss{storetest.Before, storetest.After, storetest.Late} {
			t.Run(name+", lost "+string(lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, s := lossyRig(t, 20*time.Minute)
					g := r.start()
					synctest.Wait()
					if c.before != nil {
						if err := c.before(r); err != nil {
							t.Fatal(err)
						}
					}
					made := lost != storetest.Before
					s.Lose(lost)
					if err := c.does(r); (err == nil) != made {
						t.Errorf("he is told: %v", err)
					}
					if is := c.is(r); is != made {
						t.Errorf("it is done here: %t", is)
					}
					if !made {
						if err := c.does(r); err != nil || !c.is(r) {
							t.Errorf("once more: %v", err)
						}
					}
					_ = g.end()
				})
			})
		}
	}
}

// The answer to the commit of a token is lost: it is read back, delivered at once if it is
// stored, and no trouble is told; otherwise it is stored again, and nothing is sent twice.
func TestACommitOfUnknownOutcomeIsReadBack(t *testing.T) {
	for _, lost := range []storetest.Loss{storetest.Before, storetest.After, storetest.Late} {
		t.Run("lost "+string(lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, s := lossyRig(t, 20*time.Minute)
				defer r.watch()()
				r.store = &losesCommits{s, lost}
				r.restart()
				g := r.start()
				time.Sleep(15*time.Minute + time.Second)
				synctest.Wait()
				trouble := r.count(event.DiskTrouble)
				if s := r.status("one"); s.Record.Version != 2 || (trouble > 0) != (lost == storetest.Before) {
					t.Errorf("version %d, %d troubles", s.Record.Version, trouble)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || s.Record.Held || r.record("one").Version != 2 || r.broker.count() != 1 {
					t.Errorf("state %s, version %d stored, held: %t, %d requests", s.State, r.record("one").Version, s.Record.Held, r.broker.count())
				}
				_ = g.end()
			})
		})
	}
}

// losesCommits loses the answer to the first commit.
type losesCommits struct {
	*storetest.Lossy
	how storetest.Loss
}

func (l *losesCommits) Commit(ctx context.Context, rec store.Record) error {
	l.Lose(l.how)
	l.how = storetest.Lossless
	return l.Lossy.Commit(ctx, rec)
}

// blindFor is a store that takes a token which was found, does not say so, and can't be
// read just then.
type blindFor struct {
	store.Store
	blind bool
}

func (b *blindFor) Commit(ctx context.Context, rec store.Record) error {
	err := b.Store.Commit(ctx, rec)
	if b.blind = err == nil && rec.Origin == store.OriginExternal; b.blind {
		return store.ErrUnknown
	}
	return err
}

func (b *blindFor) Load(ctx context.Context, account string) (store.Record, error) {
	if b.blind {
		b.blind = false
		return store.Record{}, store.ErrUnknown
	}
	return b.Store.Load(ctx, account)
}

// What is stored and not known here, as when another keeper has stored it, is read at the
// account's next turn: it goes on with that, and does not try to store it again and again.
func TestUnknownTokenIsReadAtTheNextTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.botWrites(r.record("one").Token, true)
		r.store = &blindFor{Store: r.store}
		r.restart()
		g := r.start()
		synctest.Wait()
		theirs := r.botRefreshes(true)
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if s := r.status("one").Record; !s.Replaced(theirs.RefreshToken.Fingerprint()) || s.Version != r.record("one").Version {
			t.Errorf("version %d from %s is known, and version %d stored", s.Version, s.Origin, r.record("one").Version)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version < 3 {
			t.Errorf("an hour later: %s at version %d", s.State, s.Record.Version)
		}
		_ = g.end()
	})
}
