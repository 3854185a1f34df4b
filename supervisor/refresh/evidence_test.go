package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// answeredInSpool leaves the answer to the next refresh in the spool, and nobody
// has stored it.
func (r *rig) answeredInSpool() {
	g := r.start()
	r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
	time.Sleep(15*time.Minute + time.Second)
	_ = g.died()
	synctest.Wait()
}

// restored puts a store in the place of the rig's that holds that record alone,
// which is an account's first, as a backup does.
func (r *rig) restored(rec store.Record) {
	r.t.Helper()
	r.store = store.NewMemory()
	r.must(r.store.Commit(r.t.Context(), rec))
	r.restart()
}

// newest is the refresh token that works.
func (b *broker) newest(account string) sdk.Secret {
	b.mu.Lock()
	defer b.mu.Unlock()
	return sdk.NewSecret(b.current[account])
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// An answer waits in the spool while a person imports another token: it is of the
// grant before, so it does not take the import's place, and it is not lost.
func TestAnAnswerOfTheGrantBeforeIsEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		r.answeredInSpool()
		late := r.broker.newest("one")
		mine := r.broker.grant("one")
		r.restart()
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: mine}, true); err != nil {
			t.Fatal(err)
		}
		g := r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		rec := r.record("one")
		if !rec.Token.RefreshToken.Equal(mine.RefreshToken) || rec.Grant != 2 {
			t.Errorf("version %d of grant %d from %s took the place of the import", rec.Version, rec.Grant, rec.Origin)
		}
		if len(rec.Evidence) != 1 || !rec.Evidence[0].Token.RefreshToken.Equal(late) || r.count(event.AnswerSetAside) != 1 {
			t.Errorf("%d answers are kept, told %d times", len(rec.Evidence), r.count(event.AnswerSetAside))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if rec = r.record("one"); rec.Version < 6 || rec.Grant != 2 || len(rec.Evidence) != 1 {
			t.Errorf("two hours later: version %d of grant %d, %d kept", rec.Version, rec.Grant, len(rec.Evidence))
		}
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if rec = r.record("one"); len(rec.Evidence) != 0 {
			t.Errorf("%d are kept after a day", len(rec.Evidence))
		}
		_ = g.end()
	})
}

// A person imports a token that is dead over an attempt whose answer waits in the
// spool: when it is refused, that answer is tried.
func TestEvidenceIsTriedAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		r.answeredInSpool()
		r.restart()
		dead := sdk.Token{AccessToken: sdk.NewSecret("x"), RefreshToken: sdk.NewSecret("of an old file"), IssuedAt: r.wall(), Lifetime: 20 * time.Minute}
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: dead}, true); err != nil {
			t.Fatal(err)
		}
		g := r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		s := r.status("one")
		if s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) || len(s.Record.Evidence) != 0 {
			t.Errorf("state %s at version %d, %d answers are kept", s.State, s.Record.Version, len(s.Record.Evidence))
		}
		if n := len(r.broker.sentTwice()); n != 0 || r.count(event.NeedsLogin) != 0 {
			t.Errorf("%d refresh tokens were sent twice, a person was called %d times", n, r.count(event.NeedsLogin))
		}
		_ = g.end()
	})
}

// The store was restored from a backup, and an answer waits in the spool of which
// it knows nothing.
func TestAnAnswerThatARestoredStoreDoesNotKnow(t *testing.T) {
	for name, tt := range map[string]struct {
		earlier int // refreshes between the backup and the answer
		origin  store.Origin
	}{
		"obtained with the record's token": {0, store.OriginRefresh},
		"nobody can show how":              {3, store.OriginExternal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				backup := r.record("one")
				if tt.earlier > 0 {
					g := r.start()
					time.Sleep(time.Duration(tt.earlier)*15*time.Minute + time.Minute)
					synctest.Wait()
					_ = g.end()
				}
				r.answeredInSpool()
				r.restored(backup)
				g := r.start()
				time.Sleep(time.Second)
				synctest.Wait()
				rec := r.record("one")
				if rec.Version != 2 || rec.Origin != tt.origin || !r.broker.holds("one", rec.Token.RefreshToken) {
					t.Errorf("version %d from %s", rec.Version, rec.Origin)
				}
				if tt.earlier > 0 && (len(rec.Before) != 1 || !rec.Before[0].Token.RefreshToken.Equal(backup.Token.RefreshToken)) {
					t.Errorf("%d tokens can be gone back to", len(rec.Before))
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) || len(r.broker.sentTwice()) > 0 {
					t.Errorf("an hour later: state %s at version %d, %d tokens were sent twice", s.State, s.Record.Version, len(r.broker.sentTwice()))
				}
				_ = g.end()
			})
		})
	}
}

// The store was restored from a backup of an earlier login, which has ended, and the disk
// fails just when the answer is taken that waits in the spool: it is taken when the disk
// is back.
func TestAnAnswerAfterTheEndOfARestoredLogin(t *testing.T) {
	for name, earlier := range map[string]int{"obtained with the record's token": 0, "nobody can show how": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
				backup := r.record("one")
				if earlier > 0 {
					g := r.start()
					time.Sleep(time.Duration(earlier)*15*time.Minute + time.Minute)
					synctest.Wait()
					_ = g.end()
				}
				r.answeredInSpool()
				backup.Origin, backup.LoginAt = store.OriginRefresh, r.wall().Add(-8*24*time.Hour)
				backup.RefreshExpiry = backup.LoginAt.Add(7 * 24 * time.Hour)
				r.restored(backup)
				disk := fullDisk{r.store, &faulty{}}
				r.store = disk
				r.restart()
				disk.on.Store(true)
				g := r.start()
				time.Sleep(time.Second)
				synctest.Wait()
				if disk.asked.Load() == 0 || r.status("one").Due.IsZero() {
					t.Errorf("the disk was asked %d times; due %s", disk.asked.Load(), r.status("one").Due)
				}
				disk.on.Store(false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if rec := r.record("one"); rec.Version != 2 || !r.broker.holds("one", rec.Token.RefreshToken) || len(r.broker.sentTwice()) > 0 {
					t.Errorf("version %d from %s, %d tokens were sent twice", rec.Version, rec.Origin, len(r.broker.sentTwice()))
				}
				_ = g.end()
			})
		})
	}
}

// A stray answer that was obtained with a token which ours has replaced, and one
// that stands beside an open attempt, are set aside, whatever their version says.
func TestAStrayAnswerIsNotInstalled(t *testing.T) {
	for name, tt := range map[string]struct {
		parent  func(store.Record) string
		version uint64
		open    bool
	}{
		"obtained with a past token": {func(rec store.Record) string { return rec.Fingerprints[0] }, 9, false},
		"begun from a past version":  {func(store.Record) string { return "0011223344556677" }, 1, false},
		"beside an open attempt":     {func(store.Record) string { return "0011223344556677" }, 9, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				g := r.start()
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				_ = g.end()
				rec := r.record("one")
				if tt.open {
					r.must(r.store.Intend(t.Context(), store.Intent{
						Account: "one", Provider: "fake", Attempt: "open", Kind: spool.KindRefresh, Version: rec.Version, Grant: rec.Grant,
						Fingerprint: rec.Token.RefreshToken.Fingerprint(), At: r.wall(), Boot: "an earlier one",
					}))
				}
				stray := sdk.Token{AccessToken: sdk.NewSecret("stray"), RefreshToken: sdk.NewSecret("stray"), IssuedAt: r.wall(), Lifetime: 2 * time.Hour}
				r.leave(spool.Header{Attempt: "stray", Account: "one", Kind: spool.KindRefresh, Version: tt.version, Fingerprint: tt.parent(rec)}, string(encodeAnswer(stray)))
				r.restart()
				g = r.start()
				time.Sleep(time.Second)
				synctest.Wait()
				got := r.record("one")
				if got.Version != rec.Version || len(got.Evidence) != 1 || !got.Evidence[0].Token.RefreshToken.Equal(stray.RefreshToken) {
					t.Errorf("version %d from %s, %d answers are kept", got.Version, got.Origin, len(got.Evidence))
				}
				if _, stands, _ := r.store.Intent(t.Context(), "one"); stands != tt.open {
					t.Errorf("an intent stands: %t", stands)
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) {
					t.Errorf("two hours later: state %s at version %d", s.State, s.Record.Version)
				}
				_ = g.end()
			})
		})
	}
}

// A grant comes while an answer is on its way: the store refuses the answer, which
// is kept and told, and the account goes on with what stands.
func TestAnAnswerThatConflictsIsEvidence(t *testing.T) {
	for name, origin := range map[string]store.Origin{"a login": store.OriginLogin, "a find": store.OriginExternal} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				g := r.start()
				notice, proceed := make(chan struct{}), make(chan struct{})
				r.broker.next("one", fault{notice: notice, proceed: proceed})
				<-notice
				before := r.record("one")
				theirs := before.Token
				theirs.RefreshToken, theirs.AccessToken = sdk.NewSecret("theirs"), sdk.NewSecret("theirs too")
				theirs.IssuedAt = r.wall()
				in, _, err := r.store.Intent(t.Context(), "one")
				r.must(err)
				r.must(r.store.Commit(t.Context(), before.Next(theirs, origin, in.Attempt, r.wall())))
				close(proceed)
				time.Sleep(time.Second)
				synctest.Wait()
				got, s := r.record("one"), r.status("one")
				if got.Version != before.Version+1 || !got.Token.RefreshToken.Equal(theirs.RefreshToken) || s.Record.Version != got.Version {
					t.Errorf("version %d from %s is stored, and version %d in memory", got.Version, got.Origin, s.Record.Version)
				}
				if len(got.Evidence) != 1 || !got.Evidence[0].Token.RefreshToken.Equal(r.broker.newest("one")) || r.count(event.AnswerSetAside) != 1 {
					t.Errorf("%d answers are kept, told %d times", len(got.Evidence), r.count(event.AnswerSetAside))
				}
				time.Sleep(time.Hour) // theirs is refused
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) || len(r.broker.sentTwice()) > 0 {
					t.Errorf("an hour later: state %s at version %d", s.State, s.Record.Version)
				}
				_ = g.end()
			})
		})
	}
}
