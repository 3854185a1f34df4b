package refresh_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// newRevokingShared is a sharedRig at a broker that can be asked to end a login, some
// minutes after a start.
func newRevokingShared(t *testing.T) (*sharedRig, *revoking, *generation) {
	r := newSharedRig(t)
	r.accounts[0].SharedPath = r.path
	r.restart()
	v := &revoking{broker: r.broker}
	r.provider = v
	g := r.start()
	time.Sleep(5 * time.Minute) // in which the file is made
	synctest.Wait()
	return r, v, g
}

// holdsNone: the file holds no refresh token, and the access token with what is known of it.
func (r *sharedRig) holdsNone(when string) {
	r.t.Helper()
	d, rec := r.inFile(), r.record("one")
	if !d.RefreshToken.IsZero() || !d.AccessToken.Equal(rec.Token.AccessToken) || d.Expiry.IsZero() {
		r.t.Errorf("%s the file holds a refresh token: %t, the access token: %t, which ends %s", when, !d.RefreshToken.IsZero(), d.AccessToken.Equal(rec.Token.AccessToken), d.Expiry)
	}
}

// TestRevokeTakesTheTokenOutOfTheFile: once its login is over the dead refresh token stands
// in the shared file no more, under the lock, also if another program brings it back or the
// supervisor dies before; a login puts the next one there.
func TestRevokeTakesTheTokenOutOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevokingShared(t)
		defer r.watch()()
		dead := r.record("one").Token
		locked := false
		v.hears = func() { // while the broker is asked no other program may use the token
			release, err := r.keptOut()
			if locked = err != nil; !locked {
				_ = release()
			}
		}
		got, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
		if err != nil || got.SharedFile != r.path || got.Left != nil || !locked {
			t.Fatalf("%+v, %v; the file was locked: %t", got, err, locked)
		}
		r.holdsNone("at once")
		if n := r.count(event.SharedFileMended); n != 1 {
			t.Errorf("told %d times", n)
		}
		quiet := func(when string) {
			t.Helper()
			time.Sleep(time.Hour)
			synctest.Wait()
			r.holdsNone(when)
			if s := r.status("one"); s.State != refresh.NeedsLogin || !s.Due.IsZero() || r.broker.count() > 0 || v.times() != 1 {
				t.Errorf("%s it is %s, due %s; %d requests", when, s.State, s.Due, r.broker.count())
			}
		}
		quiet("afterwards")
		told := r.count(event.SharedFileMended)
		for _, locked := range []bool{true, false} {
			r.botWrites(dead, locked)
			r.keeper.Look()
			quiet("brought back")
		}
		if n := r.count(event.SharedFileMended) - told; n != 2 {
			t.Errorf("told %d times that it was taken out", n)
		}
		_ = g.end()
		r.botWrites(dead, true) // as if we had died before it was taken out
		r.restart()
		g = r.start()
		quiet("after a restart")
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !r.broker.holds("one", r.inFile().RefreshToken) || r.status("one").State != refresh.Valid {
			t.Error("after a login the file does not hold its token")
		}
		_ = g.end()
	})
}

// TestRevokeThatTheNextRefreshFindsOut: where the answer was lost, the file is put right
// when the broker refuses the token, and is left alone where it does not.
func TestRevokeThatTheNextRefreshFindsOut(t *testing.T) {
	for _, revoked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r, v, g := newRevokingShared(t)
			v.set(&sdk.Error{Kind: sdk.KindAmbiguous, Message: "the answer was lost"}, revoked)
			if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); !errors.Is(err, refresh.ErrRevokeUnknown) {
				t.Fatal(err)
			}
			if d := r.inFile(); !d.RefreshToken.Equal(r.record("one").Token.RefreshToken) {
				t.Error("the file holds another token, although nobody knows that ours is dead")
			}
			_, _ = r.keeper.Refresh(t.Context(), "one", true)
			if revoked {
				r.holdsNone("refused")
			} else if r.wants(2, store.OriginRefresh); !r.broker.holds("one", r.inFile().RefreshToken) {
				t.Error("the file does not hold the next token")
			}
			_ = g.end()
		})
	}
}

// TestRevokeThatFailsLeavesTheFile: where the broker has ended nothing, other programs go on.
func TestRevokeThatFailsLeavesTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevokingShared(t)
		before, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		v.set(&sdk.Error{Kind: sdk.KindInvalidClient, HTTPStatus: 401, Message: "the broker refused the client"}, false)
		if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); !errors.Is(err, refresh.ErrNotRevoked) {
			t.Errorf("%v", err)
		}
		if after, err := os.ReadFile(r.path); err != nil || string(after) != string(before) {
			t.Errorf("the file has changed: %v", err)
		}
		_ = g.end()
	})
}

// TestRevokeBesideAHolderOfTheLock: nothing is asked while another program holds the lock,
// which may spend the token at that moment: who it is is said.
func TestRevokeBesideAHolderOfTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevokingShared(t)
		defer r.watch()()
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.keeper.Revoke(t.Context(), "one", "", byUser)
		if !errors.Is(err, refresh.ErrNotRevoked) || v.times() > 0 {
			t.Errorf("asked %d times: %v", v.times(), err)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
			t.Errorf("it is not said who holds the lock: %v", err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); err != nil || v.times() != 1 {
			t.Errorf("asked %d times: %v", v.times(), err)
		}
		_ = g.end()
	})
}

// TestRevokeOfANewerTokenInTheFile: where another program has refreshed, ours is used up,
// and of that a broker says that it is revoked. So its token is taken, and revoked once the
// broker has seen it.
func TestRevokeOfANewerTokenInTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, v, g := newRevokingShared(t)
		r.botRefreshes(true)
		_, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
		if !errors.Is(err, refresh.ErrNotRevoked) || v.times() > 0 || !strings.Contains(err.Error(), "was found in the shared file "+r.path) || !strings.Contains(err.Error(), "tokenkeeper refresh one --force") {
			t.Errorf("asked %d times: %v", v.times(), err)
		}
		r.wants(2, store.OriginExternal)
		if _, err := r.keeper.Refresh(t.Context(), "one", true); err != nil {
			t.Fatal(err)
		}
		got, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
		if err != nil || got.Record.Version != 3 || !v.asked[0].Token.RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Errorf("%+v, %v", got, err)
		}
		r.holdsNone("at once")
		_ = g.end()
	})
}

// TestRevokePastAFileThatCantBeRead: it may hold the token that lives, and of ours the
// broker would say that it is revoked.
func TestRevokePastAFileThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedRig(t)
		r, blind := newBlindRigOf(s)
		v := &revoking{broker: r.broker}
		r.provider = v
		g := r.start()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		blind.Store(true)
		_, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
		if !errors.Is(err, refresh.ErrNotRevoked) || v.times() > 0 || !strings.Contains(err.Error(), "the shared file can't be read: ") || !strings.Contains(err.Error(), "It may hold a newer token") {
			t.Errorf("asked %d times: %v", v.times(), err)
		}
		blind.Store(false)
		if _, err := r.keeper.Revoke(t.Context(), "one", "", byUser); err != nil || v.times() != 1 {
			t.Errorf("asked %d times: %v", v.times(), err)
		}
		_ = g.end()
	})
}

// TestRevokeWhoseFileCantBeWritten: the login is over all the same, it is said that the file
// holds the dead token still, and that is put right once it can be.
func TestRevokeWhoseFileCantBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, full := newFullRig(t)
		defer r.watch()()
		r.provider = &revoking{broker: r.broker}
		g := r.start()
		time.Sleep(5 * time.Minute)
		made := r.count(event.SharedFileMended)
		full.Store(true)
		got, err := r.keeper.Revoke(t.Context(), "one", "", byUser)
		if err != nil || !errors.Is(got.Left, errFull) || !r.record("one").NeedsLogin() {
			t.Fatalf("%+v, %v", got, err)
		}
		if r.inFile().RefreshToken.IsZero() || r.count(event.DiskTrouble) == 0 || r.count(event.SharedFileMended) > made {
			t.Errorf("told %d times that it can't be taken out", r.count(event.DiskTrouble))
		}
		time.Sleep(time.Hour)
		full.Store(false)
		r.keeper.Look()
		synctest.Wait()
		r.holdsNone("when there is room")
		if n := r.count(event.SharedFileMended) - made; n != 1 || r.broker.count() > 0 {
			t.Errorf("told %d times, %d requests", n, r.broker.count())
		}
		_ = g.end()
	})
}

// keptOut takes the file's lock as a program that does not wait.
func (r *sharedRig) keptOut() (release func() error, err error) {
	f, err := os.OpenFile(r.path+".lock", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
