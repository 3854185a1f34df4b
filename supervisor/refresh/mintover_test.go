package refresh_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// An account that was refreshed is minted once its provider mints alone.
func TestMintsOverARecordOfRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Hour, "main") // a record by import, of way refresh
		gen := r.start()
		time.Sleep(2 * time.Hour) // refreshed, way refresh is stored
		if err := gen.end(); err != nil {
			t.Fatal(err)
		}
		b := &mint{minter: newMinter(time.Hour, "")}
		r.provider = b
		r.keyed("the-key")
		gen = r.start()
		time.Sleep(5 * time.Hour)
		r.works(&b.minter, "five hours after the change")
		_ = gen.end()
	})
}

// Words before the provider is met.
func TestMendedKeyBeforeTheBrokerIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, "")}
		r := newMintRig(t, b, b.lifetime)
		gen := r.start()
		synctest.Wait()
		b.takes("another")
		time.Sleep(3 * time.Hour)
		_ = gen.end()
		r.keyed("another") // mended; the provider is not up yet
		s := r.status("main")
		if s.State == refresh.NeedsLogin {
			t.Error("a login is asked for at a provider that has none, of a key that nobody refused")
		}
	})
}

// were made, is minted its next token.
func TestMintsOverARecordOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Hour)
		rec := store.Record{Account: "main", Provider: "fake", Way: store.WayLogin}.Next(
			sdk.Token{AccessToken: sdk.NewSecret("a"), IssuedAt: time.Now(), Lifetime: 2 * time.Hour}, store.OriginImport, "", time.Now())
		rec.RefreshExpiry = rec.Token.Expiry()
		if err := r.store.Commit(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		b := &mint{minter: newMinter(time.Hour, "")}
		r.provider = b
		r.keyed("the-key")
		gen := r.start()
		time.Sleep(105 * time.Minute)
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		r.works(&b.minter, "after the end of the login's token")
		_ = gen.end()
	})
}

// A refused key of an account that shares a file and has no token makes no busy loop.
func TestSharedFileBesideARefusedKey(t *testing.T) {
	b := &mint{minter: newMinter(time.Hour, "")}
	b.takes("another")
	synctest.Test(t, func(t *testing.T) {
		r := newMintRig(t, b, b.lifetime)
		f, err := sharedfile.New(sharedfile.Config{Path: filepath.Join(t.TempDir(), "tokens.json"), Format: format.SaxoCache, Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		c := &countsLocks{File: f}
		r.accounts[0].Shared = c
		r.restart()
		gen := r.start()
		time.Sleep(time.Minute)
		_ = gen.end()
	})
}

type countsLocks struct {
	*sharedfile.File
	n atomic.Int64
}

func (c *countsLocks) Lock(ctx context.Context) (func() error, error) {
	if n := c.n.Add(1); n > 1000 {
		panic("a busy loop: the shared file was locked 1000 times in no time")
	}
	return c.File.Lock(ctx)
}

// The key that a broker refuses as invalid_client is not sent again and again.
func TestUnknownClientOfABrokerThatLocksOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &mint{minter: newMinter(time.Hour, sdk.RepeatLimited)}
		r := newMintRig(t, b, b.lifetime)
		for range 1000 {
			b.next(func(*spool.Slot) error {
				return &sdk.Error{Kind: sdk.KindInvalidClient, Message: "invalid_client", HTTPStatus: 401}
			})
		}
		gen := r.start()
		time.Sleep(24 * time.Hour)
		if b.requests() > 1 {
			t.Errorf("the refused key was presented %d times within a day", b.requests())
		}
		_ = gen.end()
	})
}

// names another one, though a key can mint.
func TestLostRefreshOfAnotherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		gen := r.start()
		synctest.Wait()
		was := r.record("main").Token.RefreshToken.Reveal()
		r.broker.next("main", fault{loseAnswer: true})
		time.Sleep(45*time.Minute + time.Second)
		_ = gen.end()
		n := r.broker.sentOf(was)
		r.accounts[0].ClientID = "another client"
		r.restart()
		gen = r.start()
		time.Sleep(10 * time.Minute)
		if r.broker.sentOf(was) > n {
			t.Errorf("a refresh token of another client was sent %d times as the account is configured now; %d mints", r.broker.sentOf(was)-n, b.requests())
		}
		_ = gen.end()
	})
}

// That the broker is asked once more after the end of a login is no way to ask it for
// ever, whatever becomes of the mints between.
func TestLoginThatHasEndedIsNotSentOverAndOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
		gen := r.start()
		synctest.Wait()
		was := r.record("main").Token.RefreshToken.Reveal()
		for range 20 {
			r.broker.next("main", fault{refuse: unavailable})
			b.minter.next(func(*spool.Slot) error { return &sdk.Error{Kind: sdk.KindNotSent, Message: "connection refused"} })
		}
		r.jumpBy(8 * 24 * time.Hour)
		r.keeper.Look()
		time.Sleep(30 * time.Minute)
		if n := r.broker.sentOf(was); n < 1 || n > 2 {
			t.Errorf("sent %d times, beside %d mints", n, b.requests())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A refresh that can't be sent does not keep the key from being used for ever.
func TestMintWhereTheRefreshCantBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newMintsAndRig(t)
		r.broker.policyLife, r.broker.fixed = 7*24*time.Hour, true
		gen := r.start()
		synctest.Wait()
		for range 40 {
			r.broker.next("main", fault{beforeSend: &sdk.Error{Kind: sdk.KindNotSent, Message: "connection refused"}})
		}
		r.jumpBy(8 * 24 * time.Hour)
		r.keeper.Look()
		time.Sleep(10 * time.Minute)
		if b.requests() != 2 {
			t.Errorf("%d mints, %+v", b.requests(), r.record("main").Health)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}
