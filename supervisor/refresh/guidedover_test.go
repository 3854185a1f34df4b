package refresh_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// lyingDisk takes the next record and says that it did not.
type lyingDisk struct {
	store.Store
	*faulty
}

func (d lyingDisk) Commit(ctx context.Context, rec store.Record) error {
	err := d.Store.Commit(ctx, rec)
	if err == nil && d.on.CompareAndSwap(true, false) {
		return errNoSpace
	}
	return err
}

// A login is over once its token is stored, or another one took its place, in whichever
// way: who waits for it is told at once, and another one can be begun.
func TestAGuidedLoginIsOverWithItsAttempt(t *testing.T) {
	imported := func(r *rig) {
		r.t.Helper()
		if _, err := r.keeper.Import(r.t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
			r.t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		meanwhile func(*rig, *generation, *badDisk, lyingDisk) *generation
		why       error
		version   uint64
	}{
		"its token is served from memory when another is imported": {func(r *rig, g *generation, disk *badDisk, _ lyingDisk) *generation {
			disk.fail(false, true)
			time.Sleep(6 * time.Second)
			synctest.Wait()
			disk.fail(false, false)
			imported(r)
			return g
		}, nil, 3},
		"the process dies in a poll, and a token is imported": {func(r *rig, g *generation, _ *badDisk, _ lyingDisk) *generation {
			r.broker.next("one", fault{die: beforeSend, kill: func() { g.kill() }})
			time.Sleep(6 * time.Second)
			_ = g.died()
			imported(r)
			return r.start()
		}, login.ErrReplaced, 2},
		"the disk has taken its token and said that it did not": {func(r *rig, g *generation, _ *badDisk, liar lyingDisk) *generation {
			liar.on.Store(true)
			time.Sleep(time.Minute)
			return g
		}, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := guidedRig(t, []string{"one"}, sdk.LoginDevice)
				liar := lyingDisk{r.store, &faulty{}}
				disk := &badDisk{Store: liar}
				r.store = disk
				r.restart()
				g := r.start()
				synctest.Wait()
				l := r.begin("one", sdk.LoginDevice)
				g = tt.meanwhile(r, g, disk, liar)
				synctest.Wait()
				begun := time.Now()
				rec, err := r.await(l)
				if !errors.Is(err, tt.why) || time.Since(begun) > 0 || err == nil && rec.Version != tt.version {
					t.Errorf("after %s: version %d, %v", time.Since(begun), rec.Version, err)
				}
				if v := r.record("one").Version; v != tt.version || r.storedLogins() > 0 {
					t.Errorf("version %d, want %d; %d logins are stored", v, tt.version, r.storedLogins())
				}
				if _, err := r.keeper.CancelLogin(t.Context(), "one"); !errors.Is(err, login.ErrNotOpen) {
					t.Errorf("to cancel it: %v", err)
				}
				_ = g.end()
			})
		})
	}
}
