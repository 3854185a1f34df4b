package refresh_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// watchedFile tells of each write, as the watch over a real one does.
type watchedFile struct {
	sharing.File
	wrote func()
}

func (f watchedFile) Write(d format.Document) error {
	err := f.File.Write(d)
	f.wrote()
	return err
}

// The notice of our own write may come while the attempt that wrote is still
// at work. It must not cost the account its next refresh.
func TestANoticeDuringAnAttemptDoesNotForgetTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		r.accounts[0].Shared = watchedFile{r.accounts[0].Shared, func() {
			r.hang(true) // the end of the attempt takes a while
			r.keeper.Touch("one")
			time.AfterFunc(3*time.Second, func() { r.hang(false) })
		}}
		r.restart()
		g := r.start()
		time.Sleep(16 * time.Minute)
		r.wants(2, store.OriginRefresh)
		for version := uint64(3); version < 6; version++ {
			time.Sleep(16 * time.Minute)
			r.wants(version, store.OriginRefresh)
		}
		_ = g.end()
	})
}

// A supervisor that died between the commit and the write has left a spent
// token in the file. It is put right at once, whenever the notice comes.
func TestASpentTokenInTheFileIsPutRightAtTheStart(t *testing.T) {
	for name, notice := range map[string]func(*sharedRig){
		"before the process answers": func(r *sharedRig) { r.keeper.Touch("one") },
		"never":                      func(*sharedRig) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				spent := r.record("one").Token
				g := r.start()
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				r.wants(2, store.OriginRefresh)
				if err := g.end(); err != nil {
					t.Fatal(err)
				}
				r.botWrites(sdk.Token{
					AccessToken: spent.AccessToken, RefreshToken: spent.RefreshToken, IssuedAt: spent.IssuedAt, Lifetime: spent.Lifetime,
				}, false)

				r.restart()
				notice(r)
				g = r.start()
				synctest.Wait()
				if !r.broker.holds("one", r.inFile().RefreshToken) {
					t.Error("the file still holds the token that is spent")
				}
				r.wants(2, store.OriginRefresh)
				_ = g.end()
			})
		})
	}
}

// A process that hangs just when an attempt is settled, and then goes on,
// keeps the attempt's slot. The next refresh must not be refused for it.
func TestASlotThatWasNotFreedIsFreedBeforeTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.broker.next("one", fault{before: func() {
			r.hang(true) // every call from now on
			time.AfterFunc(10*time.Second, func() { r.hang(false) })
		}})
		g := r.start()
		for version := uint64(2); version < 5; version++ {
			time.Sleep(16 * time.Minute)
			synctest.Wait()
			if rec := r.record("one"); rec.Version != version {
				t.Errorf("version %d, want %d: %s", rec.Version, version, r.status("one").Record.Health.LastError)
			}
		}
		if n := r.count(event.RefreshFailed); n != 0 {
			t.Errorf("%d refreshes failed, want none", n)
		}
		_ = g.end()
	})
}

// slowRelease gives its lock back only after a while, and says when it begins to.
type slowRelease struct {
	sharing.File
	releases func()
}

func (f slowRelease) Lock(ctx context.Context) (func() error, error) {
	release, err := f.File.Lock(ctx)
	if err != nil {
		return nil, err
	}
	return func() error { f.releases(); return release() }, nil
}

// Whoever asks for a refresh while a turn ends that has only looked at the shared file
// gets one: that nothing was to be done is no answer to somebody who asks only then.
func TestARefreshAskedForAtTheEndOfALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSharedRig(t)
		var ask func()
		r.accounts[0].Shared = slowRelease{r.accounts[0].Shared, func() {
			if ask != nil {
				ask()
			}
		}}
		r.restart()
		g := r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		posts := r.broker.count()
		answer := make(chan bool, 1)
		ask = func() {
			ask = nil
			go func() {
				did, err := r.keeper.Refresh(t.Context(), "one", true)
				answer <- did && err == nil
			}()
			time.Sleep(time.Second)
		}
		r.keeper.Touch("one")
		if !<-answer {
			t.Error("the refresh has failed")
		}
		if n := r.broker.count() - posts; n != 1 {
			t.Errorf("%d requests, want the one that was asked for", n)
		}
		r.wants(2, store.OriginRefresh)
		_ = g.end()
	})
}
