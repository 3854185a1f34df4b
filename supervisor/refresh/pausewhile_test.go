package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A pause for a while ends by itself, whether a supervisor runs then or not.
func TestPauseForAWhile(t *testing.T) {
	for name, during := range map[string]func(*rig, *generation) *generation{
		"while it runs": func(_ *rig, g *generation) *generation {
			time.Sleep(2*time.Hour - time.Second)
			return g
		},
		"over a restart": func(r *rig, g *generation) *generation {
			_ = g.end()
			time.Sleep(2*time.Hour - time.Second)
			r.restart()
			return r.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 5*time.Hour, "one")
				defer r.watch()()
				g := r.start()
				synctest.Wait()
				r.pause("one", 2*time.Hour)
				g = during(r, g)
				r.isPaused("one", "a second before the end")
				if n := r.sends(func() { time.Sleep(2 * time.Second) }); n != 0 {
					t.Errorf("%d requests of an account that is not due", n)
				}
				s := r.status("one")
				if s.State != refresh.Valid || s.Pause != nil || s.Due.IsZero() || r.count(event.Resumed) != 1 {
					t.Errorf("afterwards it is %s, due %s, %+v; told %d times", s.State, s.Due, s.Pause, r.count(event.Resumed))
				}
				if _, ok, err := r.store.Pause(t.Context(), "one"); ok || err != nil {
					t.Errorf("it stands in the store: %v, %v", ok, err)
				}
				if n := r.sends(func() { time.Sleep(4 * time.Hour) }); n != 1 {
					t.Errorf("%d requests later", n)
				}
				_ = g.end()
			})
		})
	}
}

// One that was over while nobody ran is told of, and keeps nothing from its turn.
func TestPauseThatWasOverBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		r.pause("one", time.Hour)
		time.Sleep(2 * time.Hour)
		r.restart()
		g := r.start()
		synctest.Wait()
		if n := r.broker.count(); n != 1 || r.count(event.Resumed) != 1 {
			t.Errorf("%d requests, told %d times", n, r.count(event.Resumed))
		}
		_ = g.end()
	})
}

// A second word about a pause changes its end, and its reason if it gives one.
func TestPausedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		first := r.pause("one", time.Hour).Pause
		got, err := r.keeper.Pause(t.Context(), "one", store.Pause{Since: r.wall().Add(time.Minute)})
		if want := (store.Pause{Since: first.Since, By: first.By, Reason: first.Reason}); err != nil || !got.Already || got.Pause != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		got, err = r.keeper.Pause(t.Context(), "one", store.Pause{Reason: "an incident"})
		if err != nil || got.Pause.Reason != "an incident" || got.Pause.Since != first.Since {
			t.Errorf("%+v, %v", got, err)
		}
		stored, _, err := r.store.Pause(t.Context(), "one")
		if err != nil || stored.Reason != "an incident" || !stored.Until.IsZero() {
			t.Errorf("stored: %+v, %v", stored, err)
		}
	})
}

// pauseless is a store whose disk takes no pause.
type pauseless struct{ store.Store }

func (pauseless) PutPause(context.Context, string, *store.Pause, *store.Pause) error {
	return fmt.Errorf("the disk is full: %w", store.ErrDisk)
}

// What can't be stored is not so: nothing is paused, or resumed, that a restart would forget.
func TestAPauseThatCantBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		r.pause("two", 0)
		r.store = pauseless{r.store}
		r.restart()
		if _, err := r.keeper.Pause(t.Context(), "one", store.Pause{Since: r.wall()}); !errors.Is(err, store.ErrDisk) || !strings.Contains(err.Error(), "account one: it was not paused") {
			t.Errorf("paused: %v", err)
		}
		if _, err := r.keeper.Resume(t.Context(), "two", somebody); !errors.Is(err, store.ErrDisk) || !strings.Contains(err.Error(), "account two: it stays paused") {
			t.Errorf("resumed: %v", err)
		}
		if one, two := r.status("one").Pause, r.status("two").Pause; one != nil || two == nil {
			t.Errorf("one: %+v, two: %+v", one, two)
		}
	})
}

// A Keeper that another one takes the place of pauses and resumes nothing, and stores
// nothing of it: the next one does, as of an account that was not paused, or was, before.
func TestARetiredKeeperPausesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		r.pause("two", 0)
		r.keeper.Retire()
		said := store.Pause{Since: r.wall(), By: somebody}
		for _, name := range []string{"one", "two"} {
			if _, err := r.keeper.Pause(t.Context(), name, said); !errors.Is(err, refresh.ErrRetired) {
				t.Errorf("paused %s: %v", name, err)
			}
			if _, err := r.keeper.Resume(t.Context(), name, somebody); !errors.Is(err, refresh.ErrRetired) {
				t.Errorf("resumed %s: %v", name, err)
			}
			if _, paused, err := r.store.Pause(t.Context(), name); paused != (name == "two") || err != nil {
				t.Errorf("stored of %s: %t, %v", name, paused, err)
			}
		}
		r.restart()
		if got := r.pause("one", 0); got.Already {
			t.Errorf("the next one: %+v", got)
		}
		r.isPaused("one", "the next one")
		if got := r.resume("two"); got.Pause == nil {
			t.Error("the next one knows of no pause")
		}
	})
}

// pausesLate is a store that does something before it takes a pause.
type pausesLate struct {
	store.Store
	before func()
}

func (s pausesLate) PutPause(ctx context.Context, account string, was, p *store.Pause) error {
	s.before()
	return s.Store.PutPause(ctx, account, was, p)
}

// A word that came before a Keeper is retired counts, and whoever follows knows it.
func TestAPauseThatIsStoredWhileItsKeeperIsRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		retired := make(chan bool, 1)
		isRetired := func() bool {
			_, err := r.keeper.Resume(t.Context(), "two", somebody)
			return errors.Is(err, refresh.ErrRetired)
		}
		r.store = pausesLate{r.store, func() {
			go func() {
				r.keeper.Retire()
				_, paused, _ := r.store.Pause(t.Context(), "one")
				retired <- paused
			}()
			for n := 0; n < 100_000 && !isRetired(); n++ {
				runtime.Gosched() // it is about to be
			}
			for range 1000 {
				runtime.Gosched() // and would be now
			}
		}}
		r.restart()
		if _, err := r.keeper.Pause(t.Context(), "one", store.Pause{Since: r.wall(), By: somebody}); err != nil {
			t.Error(err)
		}
		if !<-retired {
			t.Error("it was retired, and the pause was not stored yet")
		}
		r.restart()
		r.isPaused("one", "the next one")
	})
}

// A paused account without a token looks for its first one in the file: at the start, and
// again and again while a bot has the lock, with a pause each time, and asks the broker for
// nothing.
func TestAPausedAccountTakesItsFirstToken(t *testing.T) {
	for name, locked := range map[string]bool{"at the start": false, "once the lock is free": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSharedRig(t)
				r.store = store.NewMemory()
				r.restart()
				r.pause("one", 0)
				r.botRefreshes(true)
				r.restart()
				defer r.watch()()
				release := func() error { return nil }
				if locked {
					var err error
					if release, err = r.bot.Lock(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				g := r.start()
				if n := r.sends(func() { time.Sleep(10 * time.Minute) }); n != 0 {
					t.Errorf("%d requests", n)
				}
				if v := r.status("one").Version; (v == 0) != locked {
					t.Errorf("version %d", v)
				}
				if n := r.count(event.SharedFileHeld); (n > 0) != locked {
					t.Errorf("told %d times that the lock is held", n)
				}
				r.mu.Lock()
				for _, e := range r.events {
					if e.Type == event.SharedFileHeld && !e.Next.After(e.Time) {
						t.Errorf("at %s it looks again without a pause, %s", e.Time, e.Next)
					}
				}
				r.mu.Unlock()
				if err := release(); err != nil {
					t.Error(err)
				}
				if n := r.sends(func() { time.Sleep(2 * time.Minute) }); n != 0 {
					t.Errorf("%d requests", n)
				}
				r.wants(1, store.OriginExternal)
				r.isPaused("one", "taken")
				_ = g.end()
			})
		})
	}
}

// An account that was renamed is paused as it was.
func TestAPausedAccountIsRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		r.pause("one", 0)
		r.accounts[0].Name = "new"
		r.restart()
		g := r.start()
		synctest.Wait()
		if n := r.sends(func() {
			if _, err := r.keeper.MoveIn(t.Context(), "new", "one", func() error { return nil }); err != nil {
				t.Error(err)
			}
			time.Sleep(24 * time.Hour)
		}); n != 0 {
			t.Errorf("%d requests", n)
		}
		r.isPaused("new", "a day later")
		if n := r.sends(func() { r.resume("new") }); n != 1 {
			t.Errorf("%d requests once it is resumed", n)
		}
		_ = g.end()
	})
}
