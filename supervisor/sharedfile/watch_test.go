package sharedfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// watched runs Watch on a shared file in a folder that tests may remove.
func watched(t *testing.T) (changed chan struct{}, cfg sharedfile.Config) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bots", "main")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, cfg := newFile(t, sharedfile.Config{Path: filepath.Join(dir, "token.json")})
	changed = make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Watch(ctx, func() { changed <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
	})
	told(t, changed, "that it stands")
	return changed, cfg
}

func told(t *testing.T, changed <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changed:
	case <-waittest.Late(t):
		t.Fatalf("Watch did not tell %s", what)
	}
}

// quiet fails the test if Watch tells something each time that act is done. Once
// proves nothing: on a slow machine it may be what came before, told late.
func quiet(t *testing.T, changed <-chan struct{}, what string, act func()) {
	t.Helper()
	const times = 5
	for range times {
		drained(changed)
		act()
		if drained(changed) == 0 {
			return
		}
	}
	t.Errorf("Watch told %s, %d times of %d", what, times, times)
}

func TestWatch(t *testing.T) {
	changed, cfg := watched(t)
	temporary := filepath.Join(filepath.Dir(cfg.Path), "token.tmp")

	quiet(t, changed, "of other files", func() {
		write(t, temporary, "1", 0o600)
		write(t, cfg.Lock, "", 0o600)
	})
	if err := os.Rename(temporary, cfg.Path); err != nil {
		t.Fatal(err)
	}
	told(t, changed, "a file that was renamed into place")

	write(t, cfg.Path, "2", 0o600)
	told(t, changed, "a write in place")

	if err := os.Remove(cfg.Path); err != nil {
		t.Fatal(err)
	}
	write(t, cfg.Path, "3", 0o600)
	told(t, changed, "a file that was made again")

	began := time.Now()
	for range 20 {
		write(t, cfg.Path, "4", 0o600)
	}
	bursts := int(time.Since(began)/sharedfile.Settle) + 1 // on a slow machine it is not one
	told(t, changed, "a burst")
	if more := drained(changed); more > bursts+4 {
		t.Errorf("20 writes in %v were told %d times", time.Since(began), more+1)
	}

	quiet(t, changed, "of a reader", func() {
		if _, err := os.ReadFile(cfg.Path); err != nil {
			t.Fatal(err)
		}
	})
}

// drained is how often Watch tells something before it is quiet.
func drained(changed <-chan struct{}) (n int) {
	for {
		select {
		case <-changed:
			n++
		case <-time.After(150 * time.Millisecond):
			return n
		}
	}
}

func TestWatchOutlivesItsFolder(t *testing.T) {
	changed, cfg := watched(t)
	dir := filepath.Dir(cfg.Path)
	for name, vanish := range map[string]func() error{
		"removed":               func() error { return os.RemoveAll(dir) },
		"removed with its own":  func() error { return os.RemoveAll(filepath.Dir(dir)) },
		"renamed":               func() error { return os.Rename(dir, dir+".old") },
		"replaced by a new one": func() error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) },
	} {
		gone := func() {
			// A file that is removed before its folder is may be told, or not.
			if err := os.Remove(cfg.Path); err == nil {
				told(t, changed, "that the file was removed: "+name)
			}
			if err := vanish(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if name == "replaced by a new one" {
			gone()
		} else {
			quiet(t, changed, "of a folder that is gone: "+name, func() {
				err := errors.Join(os.MkdirAll(dir, 0o700), os.RemoveAll(dir+".old"))
				if err != nil {
					t.Fatal(err)
				}
				drained(changed)
				gone()
			})
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		told(t, changed, "that the folder is back: "+name)
		write(t, cfg.Path, "1", 0o600)
		told(t, changed, "a file in the new folder: "+name)
		_ = os.RemoveAll(dir + ".old")
	}
}

func TestWatchSeesAnotherProgramsWrite(t *testing.T) {
	changed, cfg := watched(t)
	other, err := sharedfile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	quiet(t, changed, "one write twice", func() {
		if err := other.Write(document("access", "refresh")); err != nil {
			t.Fatal(err)
		}
		told(t, changed, "our own kind of write")
	})
}
