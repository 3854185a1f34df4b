package refresh_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// spoolDir is where the rig's provider has its spool.
func (r *rig) spoolDir() string { return filepath.Join(r.dir, "spool") }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reintend changes the standing intent.
func (r *rig) reintend(account string, change func(*store.Intent)) {
	r.t.Helper()
	in, ok, err := r.store.Intent(r.t.Context(), account)
	if err != nil || !ok {
		r.t.Fatalf("no intent stands (%v)", err)
	}
	change(&in)
	must(r.t, r.store.Replace(r.t.Context(), in.Attempt, in))
}

func copied(t *testing.T, dir string) {
	must(t, os.CopyFS(dir+".copy", os.DirFS(dir)))
	must(t, os.Rename(dir, dir+".old"))
	must(t, os.Rename(dir+".copy", dir))
}

// That an attempt was not sent follows from the very spool in which it would be
// noted, in the same boot, and from nothing else. Whoever has less leaves the
// refresh token alone until the attempt can't be under way any more, and says
// then that nobody knows.
func TestOnlyTheSameSpoolProvesThatNothingWasSent(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(r *rig)
		proved bool
	}{
		"the same spool":         {func(*rig) {}, true},
		"the folder was removed": {func(r *rig) { must(r.t, os.RemoveAll(r.spoolDir())) }, false},
		"the folder was emptied": {func(r *rig) {
			must(r.t, os.RemoveAll(r.spoolDir()))
			must(r.t, os.Mkdir(r.spoolDir(), 0o700))
		}, false},
		"the folder is a copy":                     {func(r *rig) { copied(r.t, r.spoolDir()) }, false},
		"another boot":                             {func(r *rig) { r.boot = "boot-2" }, false},
		"no boot is known":                         {func(r *rig) { r.boot = "" }, false},
		"another container on the same host":       {func(r *rig) { r.dir = r.t.TempDir() }, false},
		"the version before this one announced it": {func(r *rig) { r.reintend("one", func(in *store.Intent) { in.Spool, in.Until = "", time.Time{} }) }, false},
		"another spool was announced":              {func(r *rig) { r.reintend("one", func(in *store.Intent) { in.Spool += "x" }) }, false},
		"the clock was set back": {func(r *rig) {
			r.jumpBy(-time.Hour)
			must(r.t, os.RemoveAll(r.spoolDir()))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				r.accounts[0].Timeout = 50 * time.Second
				r.restart()
				defer r.watch()()
				g := r.start()
				r.broker.next("one", fault{die: beforeSend, kill: func() { g.kill() }})
				time.Sleep(15*time.Minute + time.Second)
				_ = g.died()
				tt.change(r)
				r.restart()
				g = r.start()
				time.Sleep(40 * time.Second)
				synctest.Wait()
				if s := r.status("one"); tt.proved != (s.Record.Version == 2) || tt.proved != (s.State == refresh.Valid) {
					t.Errorf("within the attempt's time: state %s at version %d; proved: %t", s.State, s.Record.Version, tt.proved)
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 2 {
					t.Errorf("afterwards: state %s at version %d", s.State, s.Record.Version)
				}
				if told := r.count(event.Ambiguous); (told == 0) != tt.proved {
					t.Errorf("told %d times that nobody knows; proved: %t", told, tt.proved)
				}
				if n := len(r.broker.sentTwice()); n != 0 {
					t.Errorf("%d refresh tokens were sent twice", n)
				}
				_ = g.end()
			})
		})
	}
}

// The spool's folder is lost with an attempt that was sent: nothing is sent
// while its answer may be on the way, and the refusal that follows is told as
// what it is.
func TestSpoolLostAfterTheSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		g := r.start()
		r.broker.next("one", fault{die: sent, kill: func() {
			must(t, os.RemoveAll(r.spoolDir()))
			g.kill()
		}})
		time.Sleep(15*time.Minute + time.Second)
		_ = g.died()
		g = r.start()
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if n := len(r.broker.sentTwice()); n != 0 {
			t.Error("the refresh token was sent again while its answer may be on the way")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.NeedsLogin {
			t.Errorf("state %s", s.State)
		}
		if r.count(event.Ambiguous) != 1 || len(r.broker.sentTwice()) != 1 {
			t.Errorf("told %d times that nobody knows, %d tokens sent twice; want 1 and 1", r.count(event.Ambiguous), len(r.broker.sentTwice()))
		}
		_ = g.end()
	})
}

// A spool whose folder is removed under a provider that runs is made anew
// before anything is sent, and the attempt is announced for the new one.
func TestSpoolLostWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one")
		defer r.watch()()
		g := r.start()
		time.Sleep(time.Minute)
		must(t, os.RemoveAll(r.spoolDir()))
		r.broker.next("one", fault{die: spooled, kill: func() { g.kill() }})
		time.Sleep(14*time.Minute + time.Second)
		_ = g.died()
		g = r.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.status("one"); s.State != refresh.Valid || s.Record.Version != 2 || !r.broker.holds("one", s.Record.Token.RefreshToken) {
			t.Errorf("state %s at version %d", s.State, s.Record.Version)
		}
		if r.count(event.Ambiguous)+r.count(event.RefreshFailed) != 0 {
			t.Error("a failure was told")
		}
		_ = g.end()
	})
}

// What a slot says is believed under the same conditions: a copy, and a disk
// after a loss of power, may say "ready" of an attempt that was sent.
func TestReadyIsBelievedOfTheSameSpoolAlone(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"another boot": func(r *rig) { r.boot = "boot-2" },
		"a copy":       func(r *rig) { copied(r.t, r.spoolDir()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute, "one")
				defer r.watch()()
				g := r.start()
				r.broker.next("one", fault{die: beforeSend, kill: func() { g.kill() }})
				time.Sleep(15*time.Minute + time.Second)
				_ = g.died()
				change(r)
				r.restart()
				g = r.start()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if r.count(event.Ambiguous) == 0 {
					t.Error("nobody was told that nobody knows")
				}
				_ = g.end()
			})
		})
	}
}
