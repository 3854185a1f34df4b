package accountfiles

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts/mountstest"
)

// watchOf is the watch of a shared file in a folder to which dir/link leads.
func watchOf(t *testing.T, log *slog.Logger, changed func()) (w Watch, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "bots"), 0o700), os.Symlink("bots", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "link", "tokens.json")
	files := New(dir, nil, log)
	c := config.Account{Name: "a", SharedFile: &config.SharedFile{Path: path, Lock: path + ".lock", Format: format.SaxoCache, Timezone: "UTC"}}
	if _, err := files.Add(c, changed); err != nil {
		t.Fatal(err)
	}
	return files.Watch("a"), dir
}

// A disk that does not answer holds up nobody's end.
func TestAStopWaitsForNoDisk(t *testing.T) {
	silent := mountstest.Silent(t)
	w, dir := watchOf(t, slog.New(slog.DiscardHandler), func() {})
	link := filepath.Join(dir, "link")
	if err := errors.Join(os.Remove(link), os.Symlink(silent, link)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-waittest.Late(t):
		t.Error("it waits for the disk")
	}
}

// lines are those of a log.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// What panics is told as any reason why changes can't be watched.
func TestAWatchThatPanicsIsTold(t *testing.T) {
	log := make(lines, 100)
	w, _ := watchOf(t, slog.New(slog.NewTextHandler(log, nil)), func() { panic("canary") })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer func() {
			_ = recover()
			close(ended)
		}()
		ended <- w.Run(ctx)
	}()
	for late := waittest.Late(t); ; {
		select {
		case line := <-log:
			if strings.Contains(line, "canary") {
				t.Errorf("the log says what panicked: %s", line)
			}
			if !strings.Contains(line, "looked at every 30 s only") {
				continue
			}
			if !strings.Contains(line, "a panic of type string") {
				t.Error(line)
			}
		case <-late:
			t.Error("nobody is told")
		}
		break
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
