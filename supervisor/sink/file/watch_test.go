package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// There is news of each account's file, from the first delivery or look on, and of
// nothing else in its folder.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, file.Config{Path: filepath.Join(dir, "{account}", "token.json")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan string, 1000)
	if err := s.Watch(ctx, func(account string) { told <- account }); err != nil {
		t.Fatal(err)
	}
	tells := func(account, after string) {
		t.Helper()
		for late := waittest.Late(t); ; {
			select {
			case got := <-told:
				if got == account {
					return
				}
				if got != "a" && got != "b" {
					t.Errorf("news of %q", got)
				}
			case <-late:
				t.Fatalf("no news of %q after %s", account, after)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "a"), 0o700))
	must(s.Deliver(ctx, sinktest.Bare("a", 1)))
	tells("a", "a delivery")
	must(os.WriteFile(filepath.Join(dir, "a", "other"), nil, 0o600))
	must(os.Remove(filepath.Join(dir, "a", "token.json")))
	tells("a", "its removal")
	_, _ = s.Holds(ctx, readback.Question{Account: "b", Provider: "broker"})
	must(os.Mkdir(filepath.Join(dir, "b"), 0o700))
	tells("b", "its folder was made")
	must(os.RemoveAll(filepath.Join(dir, "a")))
	tells("a", "its folder was removed")
}

// What has taken the place of the file holds nothing, whatever it is.
func TestWhatIsNoFileHoldsNothing(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a link":       func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a FIFO":       func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a folder":     func(path string) error { return os.Mkdir(path, 0o700) },
		"no folder":    func(path string) error { return os.Remove(filepath.Dir(path)) },
		"nothing else": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			s := newSink(t, file.Config{Path: filepath.Join(dir, "{account}.json")})
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := put(filepath.Join(dir, "a.json")); err != nil {
				t.Fatal(err)
			}
			q := readback.Question{Account: "a", Provider: "broker", Lightly: true}
			if held, err := s.Holds(t.Context(), q); !errors.Is(err, sdk.ErrNothingStored) {
				t.Errorf("asked lightly: %+v, %v", held, err)
			}
		})
	}
}

// The very file of the last look, as it was, is taken for that without asking anew who
// could have put it there. Anything else there is looked at as ever: another file of
// the same name and age, too.
func TestTheSameFileIsLookedAtLightly(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(path string) error
		untouched bool
		refused   bool
	}{
		"nothing has happened": {func(string) error { return nil }, true, false},
		"its folder was opened to everybody": {
			func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) }, true, false,
		},
		"an older copy of its folder is there": {func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".new"), os.Rename(dir+".old", dir))
		}, true, false},
		"an older copy, in a folder for everybody": {func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".new"), os.Rename(dir+".old", dir), os.Chmod(dir, 0o777))
		}, false, true},
		"it was written": {func(path string) error {
			before := time.Now()
			for { // the clock of a file system lags behind
				if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
					return err
				}
				if info, err := os.Stat(path); err != nil || info.ModTime().After(before) {
					return err
				}
			}
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			path := filepath.Join(dir, "a.json")
			for _, d := range []string{dir + ".old", dir} {
				mkdir(t, d, 0o700)
				if err := os.WriteFile(filepath.Join(d, "a.json"), []byte("what is there"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := newSink(t, file.Config{Path: filepath.Join(dir, "{account}.json")})
			q := readback.Question{Account: "a", Provider: "broker", Lightly: true}
			if held, err := s.Holds(t.Context(), q); err != nil || held.Untouched {
				t.Fatalf("the first look: %+v, %v", held, err)
			}
			q.Since = time.Now()
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			held, err := s.Holds(t.Context(), q)
			if held.Untouched != c.untouched || (err != nil) != c.refused {
				t.Errorf("%+v, %v", held, err)
			}
		})
	}
}
