package refresh_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// said are the messages of the events of a type.
func (r *rig) said(of event.Type) (all []string) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Type == of {
			all = append(all, e.Message)
		}
	}
	return all
}

// underLock are what is done under the lock of a shared file: what a test does before another
// program has it, or its disk is silent, then what it does meanwhile, and what is said that has not
// been done.
var underLock = map[string]struct {
	before, meanwhile func(t *testing.T, r *sharedRig)
	not               string
	byPerson          bool
}{
	"a refresh that is due": {
		meanwhile: func(*testing.T, *sharedRig) { time.Sleep(11 * time.Minute) },
		not:       "nothing was refreshed",
	},
	"a refresh that a person wants": {
		meanwhile: func(t *testing.T, r *sharedRig) { fails(t, lastErr(r.keeper.Refresh(t.Context(), "one", true))) },
		not:       "nothing was refreshed",
	},
	"a look": {
		meanwhile: func(_ *testing.T, r *sharedRig) { r.keeper.Touch("one"); time.Sleep(time.Minute) },
		not:       "the file was not looked at",
	},
	"an import": {
		meanwhile: func(t *testing.T, r *sharedRig) {
			if _, err := r.keeper.Import(t.Context(), store.Record{Account: "one", Token: r.broker.grant("one")}, true); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		},
		not: "the imported token was not brought there",
	},
	"a login": {
		meanwhile: func(t *testing.T, r *sharedRig) {
			fails(t, lastErr(r.keeper.CompleteLogin(t.Context(), "one", r.beginLogin("one"), "code-one")))
		},
		not: "the code of the login was not used", byPerson: true,
	},
	"a login that waits": {
		before: func(t *testing.T, r *sharedRig) {
			if _, err := r.loginAs("one", "alice"); err != nil {
				t.Fatal(err)
			}
			fails(t, lastErr(r.loginAs("one", "bob")))
		},
		meanwhile: func(t *testing.T, r *sharedRig) { fails(t, lastErr(r.keeper.ConfirmLogin(t.Context(), "one"))) },
		not:       "the login that waits was not confirmed", byPerson: true,
	},
	"a revocation": {
		meanwhile: func(t *testing.T, r *sharedRig) { fails(t, lastErr(r.keeper.Revoke(t.Context(), "one", "", byUser))) },
		not:       "nothing was revoked", byPerson: true,
	},
}

func lastErr[T any](_ T, err error) error { return err }

func fails(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("it is done without the lock")
	}
}

// newUnderLock is a rig of an account whose shared file is on a disk that may die.
func newUnderLock(t *testing.T) (*sharedRig, *dyingFile, *generation) {
	r := newSharedRig(t)
	disk := newDyingFile(t, r.path)
	r.accounts[0].Shared, r.accounts[0].SharedPath = disk, r.path
	r.restart()
	r.provider = &revoking{broker: r.broker}
	g := r.start()
	time.Sleep(5 * time.Minute) // in which the file is made
	synctest.Wait()
	return r, disk, g
}

// TestAHeldLockNamesWhatDidNotHappen: of whatever is done under the lock of a shared file, it is
// said that this has not been done, and of nothing else.
func TestAHeldLockNamesWhatDidNotHappen(t *testing.T) {
	for name, act := range underLock {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, g := newUnderLock(t)
				defer r.watch()()
				if act.before != nil {
					act.before(t, r)
				}
				release, err := r.bot.Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				act.meanwhile(t, r)
				said := r.said(event.SharedFileHeld)
				if len(said) == 0 || slices.ContainsFunc(said, func(text string) bool {
					return !strings.HasPrefix(text, "the shared file could not be locked, so "+act.not+": shared file "+r.path)
				}) {
					t.Errorf("%q", said)
				}
				_ = release()
				_ = g.end()
			})
		})
	}
}

// TestASilentDiskNamesWhatDidNotHappen: so it is where the disk of the file does not answer, and
// only what is done later by itself is said to be.
func TestASilentDiskNamesWhatDidNotHappen(t *testing.T) {
	for name, act := range underLock {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, disk, g := newUnderLock(t)
				defer r.watch()()
				if act.before != nil {
					act.before(t, r)
				}
				disk.dies("lock")
				act.meanwhile(t, r)
				then := ". It is tried again"
				if act.byPerson {
					then = ". Try again once that is over"
				}
				said := r.said(event.DiskTrouble)
				if len(said) == 0 || !strings.HasSuffix(said[0], "Without what it holds, and its lock, "+act.not+then) {
					t.Errorf("%q", said)
				}
				disk.lives()
				time.Sleep(2 * time.Minute) // for whatever else has waited for the lock
				g.ends(t)
			})
		})
	}
}

// TestAHeldLockOfAnAnswer: an answer that was found is durable without the lock, and it is said
// that the file lacks it.
func TestAHeldLockOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, g := newUnderLock(t)
		defer r.watch()()
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(10*time.Minute + time.Second)
		_ = g.died()
		time.Sleep(5 * time.Minute) // for which the lock is kept
		release, err := r.bot.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g = r.start()
		time.Sleep(time.Minute)
		said := r.said(event.SharedFileHeld)
		if len(said) == 0 || !strings.Contains(said[0], ", so what the broker has answered was not brought there: shared file ") {
			t.Errorf("%q", said)
		}
		r.wants(2, store.OriginRefresh)
		_ = release()
		_ = g.end()
	})
}
