package sharedfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/inotify"
)

// settle is how long watch waits for what follows a change, so that a burst is
// one.
const settle = 20 * time.Millisecond

// watch is [File.Watch].
func watch(ctx context.Context, file string, changed func()) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	cant := func(err error) error {
		return fmt.Errorf("changes can't be watched, only looked for from time to time: %w", err)
	}
	rang := make(chan struct{}, 1)
	f, err := new(inotify.Instance).Follow(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE, func(string) {
		select {
		case rang <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return cant(err)
	}
	defer func() { _ = f.Close() }()
	for {
		// Once more each time, so that it is known if it can't be followed any more.
		if err := f.Add(path, ""); err != nil {
			return cant(err)
		}
		// That the directory has come back is told; that it went is not.
		if info, err := os.Stat(filepath.Dir(path)); err == nil && info.IsDir() {
			changed()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rang:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle):
		}
		select {
		case <-rang:
		default:
		}
	}
}
