package refresh_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// blindFile is a shared file that can't be read for a while.
type blindFile struct {
	sharing.File
	blind *atomic.Bool
}

func (f blindFile) Read() (format.Document, error) {
	if f.blind.Load() {
		return format.Document{}, fmt.Errorf("read the shared file: %w", syscall.EIO)
	}
	return f.File.Read()
}

func newBlindRig(t *testing.T) (*sharedRig, *atomic.Bool) { return newBlindRigOf(newSharedRig(t)) }

func newBlindRigOf(r *sharedRig) (*sharedRig, *atomic.Bool) {
	blind := &atomic.Bool{}
	r.accounts[0].Shared = blindFile{r.accounts[0].Shared, blind}
	r.restart()
	return r, blind
}

// What can't be read may be a newer token: ours, which may be spent, is not
// sent while the access token is valid.
func TestNothingIsSentPastAFileThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		defer r.watch()()
		g := r.start()
		time.Sleep(10 * time.Minute)
		blind.Store(true)
		r.keeper.Touch("one") // that can't be seen is nothing to tell before the account is due
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.count(event.DiskTrouble); n != 0 {
			t.Errorf("told %d times before the account was due", n)
		}
		r.botRefreshes(true)
		time.Sleep(7 * time.Minute) // due
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests of our own", n)
		}
		if r.count(event.DiskTrouble) == 0 {
			t.Error("nobody was told")
		}
		r.met(event.DiskTrouble)
		blind.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.met()
		r.wants(2, store.OriginExternal)
		_ = g.end()
	})
}

// When the access token is over, our record is all that there is.
func TestAFileThatIsNeverReadCostsNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		g := r.start()
		blind.Store(true)
		time.Sleep(25 * time.Minute)
		synctest.Wait()
		if v := r.record("one").Version; v != 2 || !r.broker.holds("one", r.record("one").Token.RefreshToken) {
			t.Errorf("version %d, want 2", v)
		}
		_ = g.end()
	})
}

// Nor is it waited for until the refresh token itself is dead, where that ends before the
// access token does.
func TestAFileThatCantBeReadOutlastsNoRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRigOf(newSharedRigFor(t, format.SaxoCache, 10*time.Minute))
		token := r.broker.grant("one")
		token.RefreshLifetime = 10 * time.Minute
		if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: token}, true); err != nil {
			t.Fatal(err)
		}
		g := r.start()
		blind.Store(true)
		time.Sleep(8*time.Minute + 30*time.Second)
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests before the refresh token was about to end", n)
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if v := r.record("one").Version; v != 3 || !r.broker.holds("one", r.record("one").Token.RefreshToken) {
			t.Errorf("version %d, want 3", v)
		}
		_ = g.end()
	})
}

// A server that refuses our token leaves only a login, if the file that may
// hold a better one can't be read; what it holds is taken as soon as it can.
func TestARefusalIsMendedByAFileThatCanBeReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		g := r.start()
		time.Sleep(10 * time.Minute)
		blind.Store(true)
		r.botRefreshes(true)
		time.Sleep(11 * time.Minute) // the bot's token is not due yet
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.NeedsLogin {
			t.Fatalf("state %s, want needs_login", s.State)
		}
		blind.Store(false)
		r.keeper.Look()
		synctest.Wait()
		r.wants(2, store.OriginExternal)
		if s := r.status("one"); s.State == refresh.NeedsLogin {
			t.Error("the account still needs a login")
		}
		_ = g.end()
	})
}

// goesBlind is a shared file that can't be read any more once a request is made.
type goesBlind struct{ blindFile }

func (f goesBlind) Prove() error {
	defer f.blind.Store(true)
	return f.blindFile.Prove()
}

// What can't be read when the answer comes is not written over: that is told, and the
// token is put there once it can be read.
func TestAnAnswerIsNotWrittenOverAFileThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		blind := &atomic.Bool{}
		r.accounts[0].Shared = goesBlind{blindFile{r.accounts[0].Shared, blind}}
		r.restart()
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		before := r.inFile().RefreshToken
		g := r.start()
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if !r.inFile().RefreshToken.Equal(before) {
			t.Error("it was written over unseen")
		}
		r.met(event.DiskTrouble)
		blind.Store(false)
		r.keeper.Look()
		synctest.Wait()
		if !r.inFile().RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Error("the file does not hold the newest token")
		}
		r.met()
		_ = g.end()
	})
}
