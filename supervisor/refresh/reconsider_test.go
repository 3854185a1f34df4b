package refresh_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// An answer waits in the spool, and the token that it was obtained with becomes
// the record's once more, as a version after the one that the attempt began from:
// that token is spent, and is not sent again.
func TestASpentTokenThatWasBroughtAgainIsNotSent(t *testing.T) {
	for name, again := range map[string]func(*rig, store.Record) error{
		"imported with force": func(r *rig, rec store.Record) error {
			r.restart()
			_, err := r.keeper.Import(r.t.Context(), store.Record{Account: "one", Token: rec.Token}, true)
			return err
		},
		"restored, and its login told": func(r *rig, rec store.Record) error {
			r.restored(rec)
			_, err := r.keeper.TellLogin(r.t.Context(), "one", sdk.Secret{}, r.wall().Add(-time.Hour))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				spent := r.record("one")
				r.answeredInSpool()
				late := r.broker.newest("one")
				r.must(again(r, spent))
				g := r.start()
				time.Sleep(time.Second)
				synctest.Wait()
				if rec := r.record("one"); !rec.Token.RefreshToken.Equal(late) || rec.Origin != store.OriginRefresh || len(rec.Evidence) != 0 {
					t.Errorf("version %d from %s, %d answers are kept", rec.Version, rec.Origin, len(rec.Evidence))
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || len(r.broker.sentTwice()) > 0 || r.broker.refusals() > 0 {
					t.Errorf("state %s, sent twice: %v, refused %d times", s.State, r.broker.sentTwice(), r.broker.refusals())
				}
				_ = g.end()
			})
		})
	}
}

// The shared file holds the token with which an answer was obtained that a
// restored store does not know: it is spent, though no version here had it.
func TestAStrayAnswersTokenReachesTheSharedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		defer r.watch()()
		backup := r.record("one")
		g := r.start()
		time.Sleep(46 * time.Minute)
		synctest.Wait()
		_ = g.end()
		r.answeredInSpool()
		r.restored(backup)
		g = r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		if !r.broker.holds("one", r.inFile().RefreshToken) {
			t.Error("the file does not hold the answer's token")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || len(r.broker.sentTwice()) > 0 || r.broker.refusals() > 0 {
			t.Errorf("state %s, sent twice: %v, refused %d times", s.State, r.broker.sentTwice(), r.broker.refusals())
		}
		_ = g.end()
	})
}

// A person imports while a token is served from memory: that one is stored first,
// because sinks have it under its number, and its slot blocks nothing.
func TestAnImportOverATokenInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		disk := &badDisk{Store: r.store}
		r.store = disk
		r.restart()
		defer r.watch()()
		g := r.start()
		synctest.Wait()
		disk.fail(false, true)
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		held := r.record("one")
		if !held.Held {
			t.Fatal("nothing is served from memory")
		}
		mine := r.broker.grant("one")
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: mine}, true); !errors.Is(err, store.ErrDisk) {
			t.Errorf("over a disk that takes nothing: %v", err)
		}
		disk.fail(false, false)
		rec, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: mine}, true)
		if err != nil || rec.Version != held.Version+1 || !rec.Replaced(held.Token.RefreshToken.Fingerprint()) {
			t.Errorf("imported as version %d over %d: %v", rec.Version, held.Version, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) || r.count(event.RefreshFailed) > 0 {
			t.Errorf("state %s: %+v", s.State, s.Record.Health)
		}
		_ = g.end()
	})
}

// An answer that was set aside is of another login than the one that stands:
// nobody knows when that one was made.
func TestEvidenceIsOfAnotherLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
		defer r.watch()()
		r.answeredInSpool()
		r.restart()
		dead := sdk.Token{AccessToken: sdk.NewSecret("x"), RefreshToken: sdk.NewSecret("of an old file"), IssuedAt: r.wall(), Lifetime: 20 * time.Minute}
		_, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: dead, LoginAt: r.wall()}, true)
		r.must(err)
		g := r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		s := r.status("one")
		if s.State != refresh.Valid || !s.Record.RefreshExpiry.IsZero() || s.LoginEnd != refresh.EndUnknown {
			t.Errorf("state %s, its login ends %s (%d)", s.State, s.Record.RefreshExpiry, s.LoginEnd)
		}
		_ = g.end()
	})
}

// A person takes an answer that was set aside. Should the broker refuse it, the
// token that stood is there; and an answer without an access token takes none away.
func TestAPersonTakesEvidence(t *testing.T) {
	for name, half := range map[string]bool{"whole": false, "half": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.accounts[0].ClientID = "app"
				r.restart()
				defer r.watch()()
				rec := r.record("one")
				stray := sdk.Token{AccessToken: sdk.NewSecret("stray"), RefreshToken: sdk.NewSecret("stray"), IssuedAt: r.wall(), Lifetime: 20 * time.Minute}
				if half {
					stray.AccessToken = sdk.Secret{}
				}
				r.leave(spool.Header{Attempt: "stray", Account: "one", Kind: spool.KindRefresh, Version: 0, Fingerprint: "0011223344556677"}, string(encodeAnswer(stray)))
				g := r.start()
				time.Sleep(time.Second)
				synctest.Wait()
				if kept := r.record("one").Evidence; len(kept) != 1 || kept[0].GrantedTo.Client == "" {
					t.Errorf("nobody knows to whom it was granted: %+v", kept)
				}
				if _, err := r.keeper.TakeLate(t.Context(), "one", "another"); !errors.Is(err, refresh.ErrNotKept) {
					t.Errorf("one that is not kept: %v", err)
				}
				got, err := r.keeper.TakeLate(t.Context(), "one", "stray")
				r.must(err)
				if got.GrantedTo.Client != sdk.NewSecret("app").Fingerprint() || got.FoundIn == "" || !got.Token.RefreshToken.Equal(stray.RefreshToken) || got.Token.AccessToken.IsZero() || len(got.Evidence) != 0 {
					t.Errorf("version %d from %s, %d kept, an access token: %t", got.Version, got.Origin, len(got.Evidence), !got.Token.AccessToken.IsZero())
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				s := r.status("one")
				if s.State != refresh.Valid || !r.broker.holds("one", s.Record.Token.RefreshToken) || !s.Record.Replaced(rec.Token.RefreshToken.Fingerprint()) || r.count(event.NeedsLogin) > 0 {
					t.Errorf("state %s at version %d from %s", s.State, s.Record.Version, s.Record.Origin)
				}
				_ = g.end()
			})
		})
	}
}
