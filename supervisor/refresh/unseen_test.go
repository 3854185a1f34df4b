package refresh_test

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// blindDisk is a disk on which what is at path can't be read, as long as it is blind or
// until that is replaced through it.
type blindDisk struct {
	files.OS
	path  string
	blind atomic.Bool
}

func (d *blindDisk) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if d.blind.Load() && name == d.path && flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EIO}
	}
	return d.OS.OpenFile(name, flag, perm)
}

func (d *blindDisk) Rename(from, to string) error {
	err := d.OS.Rename(from, to)
	if err == nil && to == d.path {
		d.blind.Store(false)
	}
	return err
}

func newBlindRig(t *testing.T) (*sharedRig, *atomic.Bool) { return newBlindRigOf(newSharedRig(t)) }

func newBlindRigOf(r *sharedRig) (*sharedRig, *atomic.Bool) {
	disk := &blindDisk{path: r.path}
	f, err := sharedfile.New(sharedfile.Config{Path: r.path, Format: format.SaxoCache, Location: time.UTC, System: disk})
	if err != nil {
		r.t.Fatal(err)
	}
	r.accounts[0].Shared = f
	r.restart()
	return r, &disk.blind
}

// getsTheNewest looks at the file, which can be read again: the newest token is put there.
func (r *sharedRig) getsTheNewest() {
	r.t.Helper()
	r.keeper.Look()
	synctest.Wait()
	if !r.inFile().RefreshToken.Equal(r.record("one").Token.RefreshToken) {
		r.t.Error("the file does not hold the newest token")
	}
	r.met()
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

// When the access token is over, our record is all that there is. What comes takes the
// file's place, and what was there is kept, once.
func TestAFileThatIsNeverReadCostsNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		was, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		g := r.start()
		blind.Store(true)
		time.Sleep(19 * time.Minute)
		synctest.Wait()
		if n := r.broker.count(); n != 0 {
			t.Errorf("%d requests while the access token is good", n)
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if kept, err := os.ReadFile(r.path + ".damaged"); err != nil || string(kept) != string(was) || !r.inFile().RefreshToken.Equal(r.record("one").Token.RefreshToken) {
			t.Errorf("kept: %q, %v; the file holds %s", kept, err, r.inFile().RefreshToken)
		}
		r.met()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.wants(6, store.OriginRefresh)
		if n := r.count(event.SharedFileMended); n != 1 {
			t.Errorf("told %d times", n)
		}
		_ = g.end()
	})
}

// One that can't be kept is not replaced either: that is told, and the token is put there
// once the file can be read.
func TestAFileThatCantBeReadOrKeptStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		r.botWrites(r.record("one").Token, true)
		before := r.inFile().RefreshToken
		for _, kept := range []string{".damaged.2", ".damaged.3"} {
			if err := os.MkdirAll(r.path+kept+"/in the way", 0o700); err != nil {
				t.Fatal(err)
			}
		}
		g := r.start()
		blind.Store(true)
		time.Sleep(25 * time.Minute)
		synctest.Wait()
		r.wants(2, store.OriginRefresh)
		if !r.inFile().RefreshToken.Equal(before) {
			t.Error("it was replaced, and what was in it is lost")
		}
		r.met(event.DiskTrouble)
		blind.Store(false)
		r.getsTheNewest()
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
		r.botWrites(token, true)
		blind.Store(true)
		g := r.start()
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

// It is told long before a token is due, and no login is begun whose token would not get
// there.
func TestAFileThatCantBeReadIsToldAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		blind.Store(true)
		g := r.start()
		synctest.Wait()
		if n := r.count(event.DiskTrouble); n != 1 {
			t.Errorf("told %d times", n)
		}
		r.met(event.DiskTrouble)
		if _, err := r.keeper.BeginLogin(t.Context(), "one", "", event.Caller{}); !errors.Is(err, syscall.EIO) {
			t.Errorf("a login: %v", err)
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
type goesBlind struct {
	sharing.File
	blind *atomic.Bool
}

func (f goesBlind) Prove() error {
	defer f.blind.Store(true)
	return f.File.Prove()
}

// What can't be read when the answer comes is not written over: that is told, and the
// token is put there once it can be read.
func TestAnAnswerIsNotWrittenOverAFileThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		r.accounts[0].Shared = goesBlind{r.accounts[0].Shared, blind}
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
		r.getsTheNewest()
		_ = g.end()
	})
}

// cameBack is a shared file that can be read again, and has a newer token, once it was
// proved that it can be replaced.
type cameBack struct {
	sharing.File
	meanwhile func()
}

func (f cameBack) Prove() error {
	defer f.meanwhile()
	return f.File.Prove()
}

// A file that can be read again just before our record is used is looked at: what it has
// got meanwhile is taken, and nothing is sent.
func TestAFileThatCanBeReadInTimeIsNotGonePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, blind := newBlindRig(t)
		defer r.watch()()
		r.botWrites(r.record("one").Token, true)
		came := false
		r.accounts[0].Shared = cameBack{r.accounts[0].Shared, func() {
			if blind.CompareAndSwap(true, false) {
				came = true
				r.botRefreshes(false) // the lock is ours
			}
		}}
		r.restart()
		g := r.start()
		blind.Store(true)
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if n := r.broker.count(); n != 0 || !came {
			t.Errorf("%d requests of our own; it could be read again: %t", n, came)
		}
		r.wants(2, store.OriginExternal)
		if held := r.inFile().RefreshToken; !held.Equal(r.record("one").Token.RefreshToken) {
			t.Errorf("the file holds %s", held)
		}
		_ = g.end()
	})
}
