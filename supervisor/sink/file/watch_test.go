package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

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
