package mounts_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts/mountstest"
)

// Of what lies on a drive that is gone only the topmost part is looked at, once, and
// everything below is told of at once; beside it all goes on.
func TestAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		defer close(back)
		var looked []string
		a := mounts.Asker{Look: func(path string) {
			looked = append(looked, path) // in one goroutine after the other
			if path == "/net/gone" {
				<-back
			}
		}}
		began := time.Now()
		for _, path := range []string{"/net/gone/a/b", "/net/gone/c", "/net/gone", "/net/gone/"} {
			var silent *mounts.Silent
			err := a.Ask(path)
			synctest.Wait()
			if !errors.As(err, &silent) || silent.Path != "/net/gone" || silent.Waited != 5*time.Second || !mounts.IsSilent(err) {
				t.Errorf("of %s: %v", path, err)
			}
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %s", took)
		}
		if !a.Met() {
			t.Error("none is said to be silent")
		}
		for _, path := range []string{"/net/there/a", "/", "/net/gonebeside"} {
			if err := a.Ask(path); err != nil || mounts.IsSilent(err) {
				t.Errorf("of %s: %v", path, err)
			}
		}
		if want := []string{"/", "/net", "/net/gone", "/net/there", "/net/there/a", "/net/gonebeside"}; !slices.Equal(looked, want) {
			t.Errorf("looked at %q, want %q", looked, want)
		}
	})
}

// A process that asks again and again leaves no thread behind each time, and sees that
// the path answers again, also if what was left behind never comes back.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		var gone atomic.Bool
		var hang atomic.Int32
		gone.Store(true)
		looks := &mounts.Looks{}
		ask := func() error {
			a := mounts.Asker{Looks: looks, Look: func(path string) {
				if path == "/net/gone" && gone.Load() {
					hang.Add(1)
					<-never
				}
			}}
			return a.Ask("/net/gone/token.json")
		}
		var both sync.WaitGroup
		began := time.Now()
		for range 2 {
			both.Go(func() {
				if !mounts.IsSilent(ask()) {
					t.Error("it is not said to be silent")
				}
			})
		}
		if both.Wait(); time.Since(began) != 5*time.Second || hang.Load() != 1 {
			t.Errorf("two who ask at once wait %s for %d looks", time.Since(began), hang.Load())
		}
		if began = time.Now(); !mounts.IsSilent(ask()) || time.Since(began) != 0 {
			t.Errorf("who asks later waits %s", time.Since(began))
		}
		for time.Since(began) < 30*24*time.Hour {
			time.Sleep(100 * time.Second)
			if !mounts.IsSilent(ask()) {
				t.Fatal("it is not said to be silent")
			}
		}
		if n := hang.Load(); n > 17 {
			t.Errorf("in a month %d looks were left behind", n)
		}
		gone.Store(false)
		for began = time.Now(); ask() != nil; time.Sleep(time.Hour) {
			if time.Since(began) > 31*24*time.Hour {
				t.Fatal("it is never asked again")
			}
		}
		gone.Store(true)
		if began = time.Now(); !mounts.IsSilent(ask()) || time.Since(began) != 5*time.Second {
			t.Errorf("gone once more: it took %s", time.Since(began))
		}
	})
}

// A file system whose server never answers, as the kernel shows it.
func TestSilentFileSystem(t *testing.T) {
	gone := mountstest.Silent(t)
	a := mounts.Asker{Patience: 200 * time.Millisecond}
	for _, path := range []string{gone, filepath.Join(gone, "below", "token.json")} {
		if err := a.Ask(path); err == nil || !strings.Contains(err.Error(), "the file system of "+gone+" has not answered for 200ms") {
			t.Errorf("of %s: %v", path, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(gone, link); err != nil {
		t.Fatal(err)
	}
	if err := a.Ask(link); !mounts.IsSilent(err) {
		t.Errorf("of a link to it: %v", err)
	}
	a = mounts.Asker{}
	for _, path := range []string{filepath.Dir(gone), filepath.Join(filepath.Dir(gone), "missing"), "/proc/self/exe"} {
		if err := a.Ask(path); err != nil {
			t.Errorf("of %s: %v", path, err)
		}
	}
	if a.Met() {
		t.Error("one is said to be silent")
	}
}

// A glance that does not come back is the only one, and what the last one saw counts
// until it does.
func TestGlance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, sees := 0, "one"
		var held chan struct{}
		g := mounts.NewGlance(func() string {
			looks++
			if held != nil {
				<-held
			}
			return sees
		})
		if got := g.Now(); got != "one" || looks != 1 {
			t.Errorf("it saw %q by look %d", got, looks)
		}
		held, sees = make(chan struct{}), "two"
		began := time.Now()
		for range 3 {
			got := g.Now()
			synctest.Wait()
			if got != "one" || looks != 2 {
				t.Errorf("while it hangs: %q by look %d", got, looks)
			}
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("three who asked waited %s", took)
		}
		close(held)
		synctest.Wait()
		if held = nil; g.Now() != "two" || looks != 3 {
			t.Errorf("afterwards: %q by look %d", g.Now(), looks)
		}
	})
}
