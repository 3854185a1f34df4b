package configfile_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
)

const (
	watchedText = "reload: watch\naccounts: {a: {provider: schwab, client_id: id, client_secret: \"${file:secret}\"}}\n"
	otherText   = watchedText + "log: {level: debug}\n"
	wrongText   = watchedText + "nonsense: 1\n"
)

// watched is a file that is watched, in simulated time. What the kernel would tell, the test
// tells by news.
type watched struct {
	*world
	file   *configfile.File
	cfg    configfile.WatchConfig
	log    bytes.Buffer
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	seen seen
}

// seen is what the watch has done.
type seen struct {
	// reloads are what came of each, "" if it is used.
	reloads []string
	// followed are the paths that are, and follows how often that began.
	followed []string
	follows  int
	news     func()
	refuse   error // of who follows
}

// change changes what is seen.
func (w *watched) change(do func(*seen)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do(&w.seen)
}

// now is what is seen by now.
func (w *watched) now() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func newWatched(t *testing.T, text string) *watched {
	w := &watched{world: newWorld(t), ended: make(chan struct{})}
	w.secret("s")
	w.put(text)
	w.file = w.open(time.Now())
	w.cfg = configfile.WatchConfig{
		File: w.file, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Referred: func() []string { return config.Referred(config.Source{Path: w.path}) },
		Reload: func(context.Context) {
			cfg, err := w.load()
			if err != nil {
				w.change(func(s *seen) { s.reloads = append(s.reloads, err.Error()) })
				return
			}
			w.change(func(s *seen) { s.reloads = append(s.reloads, "") })
			w.file.Runs(cfg)
		},
		Follow: func(paths []string, news func()) (io.Closer, error) {
			w.change(func(s *seen) { s.followed, s.news, s.follows = paths, news, s.follows+1 })
			return w, w.now().refuse
		},
	}
	return w
}

// Close is that of who follows.
func (w *watched) Close() error {
	w.change(func(s *seen) { s.followed, s.news = nil, nil })
	return nil
}

func (w *watched) begin() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel = cancel
	go func() {
		defer close(w.ended)
		if err := configfile.NewWatch(w.cfg).Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (w *watched) end() {
	w.cancel()
	<-w.ended
	if w.now().news != nil {
		w.t.Error("it is followed for ever")
	}
}

// secret writes what the configuration refers to.
func (w *watched) secret(text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.path), "secret"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// writes replaces the file, which is told.
func (w *watched) writes(text string) {
	w.t.Helper()
	w.put(text)
	w.tell()
}

// tell says that something has happened, and lets that be heard.
func (w *watched) tell() {
	w.now().news()
	synctest.Wait()
}

// reloaded lets some time pass, in which what came of reloads must be that.
func (w *watched) reloaded(when string, want ...string) {
	w.t.Helper()
	time.Sleep(time.Hour)
	synctest.Wait()
	same := slices.EqualFunc(w.now().reloads, want, func(is, want string) bool { return is == want || want != "" && strings.Contains(is, want) })
	if !same {
		w.t.Errorf("%s: what came of reloads is %q, want %q", when, w.now().reloads, want)
	}
	w.change(func(s *seen) { s.reloads = nil })
}

func TestWrittenIsReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.begin()
		defer w.end()
		w.reloaded("nothing was written")
		if w.now().follows != 1 {
			t.Errorf("the files were looked at %d times, and nothing happened", w.now().follows)
		}
		if want := []string{filepath.Join(filepath.Dir(w.path), "secret"), w.path}; !slices.Equal(w.now().followed, want) {
			t.Errorf("followed are %q, want %q", w.now().followed, want)
		}
		w.writes(otherText)
		w.reloaded("another one", "")
		w.tell()
		w.reloaded("news of nothing")
		w.secret("another one")
		w.tell()
		w.reloaded("a secret", "")
		w.writes(watchedText)
		w.reloaded("it is taken back", "")
	})
}

// Whoever writes is not disturbed: nothing is read before it was quiet for a second.
func TestAWriteIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.begin()
		defer w.end()
		for n := range 20 {
			w.writes(otherText[:len(otherText)-20+n])
			time.Sleep(900 * time.Millisecond)
			synctest.Wait()
		}
		w.writes(otherText)
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if len(w.now().reloads) > 0 {
			t.Errorf("half of it was read: %q", w.now().reloads)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		w.reloaded("all of it", "")
	})
}

// What is wrong is told once, until something else is written.
func TestWhatIsWrongIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.begin()
		defer w.end()
		w.writes(wrongText)
		w.reloaded("a wrong one", "nonsense: unknown key")
		for range 3 {
			w.writes(wrongText)
			w.reloaded("the same again")
		}
		w.writes(wrongText + "acounts: {}\n")
		w.reloaded("another wrong one", "acounts: unknown key")
		w.writes(watchedText)
		w.reloaded("what runs")
		w.writes(wrongText)
		w.reloaded("the wrong one once more", "nonsense: unknown key")
		w.cfg.Reload(t.Context()) // somebody asks for one
		w.reloaded("that one alone", "nonsense: unknown key")
		w.writes(otherText)
		w.reloaded("a right one", "")
	})
}

func TestAFileThatIsAwayIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.begin()
		defer w.end()
		for _, back := range []string{watchedText, otherText} {
			if err := os.Remove(w.path); err != nil {
				t.Fatal(err)
			}
			w.tell()
			w.reloaded("it is away")
			w.writes(back)
		}
		w.reloaded("it is back, and another one", "")
	})
}

// A file to which another one refers may come later than that.
func TestASecretMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.begin()
		defer w.end()
		later := filepath.Join(filepath.Dir(w.path), "later")
		w.writes(strings.Replace(watchedText, "secret}", "later}", 1))
		w.reloaded("the file", "later can't be read")
		if !slices.Contains(w.now().followed, later) {
			t.Errorf("followed are %q", w.now().followed)
		}
		if err := os.WriteFile(later, []byte("s"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.tell()
		w.reloaded("the secret", "")
		if err := os.WriteFile(later, []byte("another one"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.tell()
		w.reloaded("the secret once more", "")
		if want := []string{later, w.path}; !slices.Equal(w.now().followed, want) {
			t.Errorf("followed are %q, want %q", w.now().followed, want)
		}
	})
}

// What runs says whether it is watched, from one moment to the next.
func TestWatchingIsSwitched(t *testing.T) {
	manual := strings.Replace(otherText, "watch", "manual", 1)
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, manual)
		w.begin()
		defer w.end()
		w.put(watchedText)
		w.reloaded("it is not watched")
		if w.now().follows > 0 {
			t.Error("it is followed")
		}
		w.cfg.Reload(t.Context()) // somebody asks for one
		w.reloaded("somebody has asked", "")
		w.writes(otherText)
		w.reloaded("it is watched", "")
		w.writes(manual)
		w.reloaded("the last that is watched", "")
		if w.now().news != nil {
			t.Error("it is followed on")
		}
		w.put(otherText)
		w.reloaded("it is not watched any more")
	})
}

// Where the kernel tells nothing, the files are looked at from time to time.
func TestWhatCantBeFollowedIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.change(func(s *seen) { s.refuse = errors.New("too many open files") })
		w.begin()
		defer w.end()
		w.put(otherText)
		w.reloaded("nobody has told", "")
		if n := strings.Count(w.log.String(), "can't be watched"); n != 1 {
			t.Errorf("that was told %d times: %s", n, w.log.String())
		}
		w.change(func(s *seen) { s.refuse = nil })
		w.reloaded("it can be followed")
		before := w.now().follows
		if w.reloaded("nothing"); w.now().follows != before {
			t.Error("it is looked at on and on")
		}
	})
}

// A file system that does not answer holds up nobody's end, and a panic of who reads is left
// to the reload.
func TestTheWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		w.cfg.Referred = func() []string { panic("canary") }
		w.begin()
		w.writes(otherText)
		w.reloaded("after a panic", "")
		w.end()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, watchedText)
		hangs := make(chan struct{})
		w.cfg.Follow = func([]string, func()) (io.Closer, error) { <-hangs; return nil, errors.New("gone") }
		w.begin()
		w.end()
		close(hangs)
	})
}
