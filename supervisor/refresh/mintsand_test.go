package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// mintsAnd is a broker whose minted tokens have refresh tokens, unless bare.
type mintsAnd struct {
	*broker
	*minter
	bare atomic.Bool
}

func (b *mintsAnd) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	t, err := b.minter.Mint(ctx, req)
	if err != nil || b.bare.Load() {
		return t, err
	}
	return b.grant(req.Account.Name), nil
}

func newMintsAndRig(t *testing.T) (*rig, *mintsAnd) {
	r := newRig(t, time.Hour)
	m := newMinter(time.Hour, "")
	b := &mintsAnd{broker: r.broker, minter: &m}
	r.provider = b
	r.keyed("the-key")
	return r, b
}

// holds fails the test unless the account has what the broker has issued last.
func (r *rig) holds(when string, mints int, b *mintsAnd) {
	r.t.Helper()
	s := r.status("main")
	if s.State != refresh.Valid || !r.broker.accepts(s.Record.Token.AccessToken) || b.requests() != mints {
		r.t.Errorf("%s: %s, version %d by %s, %d mints (want %d), %+v", when, s.State, s.Record.Version, s.Record.Origin, b.requests(), mints, s.Record.Health)
	}
}

// With a refresh token an account is refreshed, and minted one where nothing follows
// from it: nobody is asked for a login.
func TestMintsWhereNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		r.holds("without a token", 1, b)
		time.Sleep(10 * time.Hour)
		r.holds("after ten hours", 1, b)

		before := r.record("main")
		r.broker.grant("main") // so that ours is refused
		time.Sleep(time.Hour)
		r.holds("a refresh token was refused", 2, b)
		if rec := r.record("main"); rec.Grant != before.Grant+1 || rec.Way != store.WayRefresh || !rec.Replaced(before.Token.RefreshToken.Fingerprint()) {
			t.Errorf("grant %d after %d, %q", rec.Grant, before.Grant, rec.Way)
		}
		if r.broker.refusals() != 1 || r.count(event.NeedsLogin) != 0 {
			t.Errorf("%d refusals, %d logins asked for", r.broker.refusals(), r.count(event.NeedsLogin))
		}

		r.keeper.SessionGone("main", r.record("main").Version, true)
		time.Sleep(time.Second)
		r.holds("its session was gone", 3, b)
		for range 60 { // of each new token, too: no storm
			r.keeper.SessionGone("main", r.status("main").Record.Version, true)
			time.Sleep(time.Minute)
		}
		if n := b.requests(); n > 8 {
			t.Errorf("%d mints within an hour", n-3)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// Who waits for a refresh gets what is minted in its place.
func TestRefreshWaitsForTheMint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		r.broker.grant("main")
		if done, err := r.keeper.Refresh(t.Context(), "main", true); err != nil || !done {
			t.Error(done, err)
		}
		r.holds("after the refusal", 2, b)
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A key that is refused, too, needs a person; the refresh token that was refused is
// not sent again by itself.
func TestKeyRefusedAfterTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		r.broker.grant("main")
		b.minter.takes("another")
		for range 3 {
			time.Sleep(5 * time.Hour)
			if s := r.status("main"); s.State != refresh.NeedsLogin || b.requests() != 2 || r.broker.refusals() != 1 || r.count(event.NeedsLogin) != 1 {
				t.Fatalf("%s, %d mints, %d refusals, told %d times", s.State, b.requests(), r.broker.refusals(), r.count(event.NeedsLogin))
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
			r.restart()
			gen = r.start()
			synctest.Wait()
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
		r.keyed("another")
		gen = r.start()
		synctest.Wait()
		r.holds("with the other key", 3, b)
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A key that is refused while the token lives on costs nothing but what it was for.
func TestKeyRefusedBesideALivingToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		b.minter.takes("another")
		r.keeper.SessionGone("main", r.record("main").Version, true)
		time.Sleep(10 * time.Hour)
		r.holds("after the refusal", 2, b)
		if n := r.count(event.NeedsLogin); n > 0 {
			t.Errorf("%d logins asked for", n)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A minted token without a refresh token leaves the one before where it is, which was
// of another grant, and does not send it again.
func TestMintedWithoutARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		r.broker.grant("main")
		b.bare.Store(true)
		for range 20 {
			time.Sleep(time.Hour)
			synctest.Wait()
			r.works(b.minter, "after the refusal")
		}
		if r.broker.refusals() != 1 || b.requests() > 40 {
			t.Errorf("%d refusals, %d mints", r.broker.refusals(), b.requests())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// Of a client that the configuration no longer names no token is sent: another one is
// minted.
func TestAnotherClientMints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		if err := gen.end(); err != nil {
			t.Error(err)
		}
		r.accounts[0].ClientID = "another client"
		r.restart()
		gen = r.start()
		synctest.Wait()
		r.holds("of another client", 2, b)
		if s := r.status("main"); s.GrantedElsewhere != "" || s.Withheld != "" {
			t.Errorf("%q, %q", s.GrantedElsewhere, s.Withheld)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// An open login holds a mint back as it does a refresh.
func TestMintBehindAnOpenLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		r.beginLogin("main")
		r.keeper.SessionGone("main", 1, true)
		time.Sleep(time.Minute)
		r.holds("while a login is open", 1, b)
		if _, err := r.keeper.CancelLogin(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		r.keeper.SessionGone("main", 1, true)
		time.Sleep(time.Second)
		r.holds("after it", 2, b)
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// The answer to a refresh that was under way when its account was minted another grant
// is evidence, and does not take its place.
func TestLateAnswerAfterAMint(t *testing.T) {
	s := store.NewMemory()
	ctx := t.Context()
	rec := store.Record{Account: "main", Provider: "fake"}.Next(sdk.Token{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), Lifetime: time.Hour}, store.OriginLogin, "", time.Now())
	if err := s.Commit(ctx, rec); err != nil {
		t.Fatal(err)
	}
	late := rec.Next(sdk.Token{AccessToken: sdk.NewSecret("late"), RefreshToken: sdk.NewSecret("late"), Lifetime: time.Hour}, store.OriginRefresh, "a1", time.Now())
	minted := rec.Next(sdk.Token{AccessToken: sdk.NewSecret("m"), RefreshToken: sdk.NewSecret("rm"), Lifetime: time.Hour}, store.OriginMint, "a2", time.Now())
	if minted.Grant != rec.Grant+1 || minted.Parent != "" {
		t.Errorf("grant %d, parent %q", minted.Grant, minted.Parent)
	}
	if err := s.Commit(ctx, minted); err != nil {
		t.Fatal(err)
	}
	late.Version++
	if err := s.Commit(ctx, late); !errors.Is(err, store.ErrLineage) {
		t.Error(err)
	}
}

// A process that dies while it mints in the place of a refused refresh token, whenever,
// costs no token and no login.
func TestDeathWhileMintingAnotherGrant(t *testing.T) {
	for _, at := range []string{"sent", "answered"} {
		synctest.Test(t, func(t *testing.T) {
			r, b := newMintsAndRig(t)
			defer r.watch()()
			gen := r.start()
			synctest.Wait()
			r.broker.grant("main")
			want := 3
			b.minter.next(func(*spool.Slot) error { gen.kill(); return sdk.ErrAmbiguous })
			if at == "answered" {
				b.minter.faults, want = nil, 2
				b.minter.next(func(*spool.Slot) error { gen.cut(); time.Sleep(time.Second); return nil })
			}
			if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			gen.kill()
			r.restart()
			gen = r.start()
			time.Sleep(time.Minute)
			r.holds(fmt.Sprint(at, ", then restarted"), want, b)
			if n := r.count(event.NeedsLogin); n > 0 {
				t.Errorf("%d logins asked for", n)
			}
			for _, e := range r.events {
				if e.Type == event.RefreshFailed && !strings.Contains(e.Message, "minted from the account's key") {
					t.Error(e.Message)
				}
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		})
	}
}
