package inotify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func TestWhatHappenedBeforeTheWatchIsSeen(t *testing.T) {
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	asked := false
	err := awaitName(ctx, t.TempDir(), "s", func() bool { asked = true; return true })
	if err != nil || !asked {
		t.Errorf("got %v, asked: %v", err, asked)
	}
}

func TestNextAndPending(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(dir, unix.IN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if events, err := w.Pending(); err != nil || len(events) > 0 {
		t.Errorf("at first there is %v, %v", events, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	mkdir := func(name string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mkdir("a")
	mkdir("a longer name")
	// An ended context does not spoil the next call.
	if got, err := w.Next(t.Context()); err != nil || len(got) != 2 || got[0].Name != "a" || got[1].Name != "a longer name" {
		t.Errorf("got %v, %v", got, err)
	}
	mkdir("b")
	if got, err := w.Pending(); err != nil || len(got) != 1 || got[0].Name != "b" {
		t.Errorf("pending: %v, %v", got, err)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no"), unix.IN_CREATE); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(make([]byte, unix.SizeofInotifyEvent))
	f.Add(append(make([]byte, 12), 0xff, 0xff, 0xff, 0xff, 'n'))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(parse(b)); n > len(b)/unix.SizeofInotifyEvent {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}
