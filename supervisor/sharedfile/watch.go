package sharedfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/inotify"
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
	dir, name := filepath.Dir(path), filepath.Base(path)
	for {
		err := inotify.Await(ctx, dir, func() bool {
			info, err := os.Stat(dir)
			return err == nil && info.IsDir()
		})
		if err == nil {
			err = watchDir(ctx, dir, name, changed)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("changes can't be watched, only looked for from time to time: %w", err)
		}
	}
}

// watchDir is watch for as long as dir is the directory that it was.
func watchDir(ctx context.Context, dir, name string, changed func()) error {
	const written, vanishes = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE, unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	w, err := inotify.Open(dir, written|vanishes)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil // it has gone since it was looked for
	}
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	changed()
	for {
		events, err := w.Next(ctx)
		if err != nil {
			return err
		}
		ours, gone := about(name, events)
		if ours && !gone {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(settle):
			}
			if events, err = w.Pending(); err != nil {
				return err
			}
			// That the directory has come back is told; that it went is not.
			if _, gone = about(name, events); !gone {
				changed()
			}
		}
		if gone {
			return nil
		}
	}
}

// about says whether events tell of the file, and whether they are the last
// ones of this directory. Where the kernel dropped some, they tell of it.
func about(name string, events []inotify.Event) (ours, gone bool) {
	for _, e := range events {
		switch {
		case e.Mask&(unix.IN_IGNORED|unix.IN_UNMOUNT|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
			gone = true
		case e.Mask&unix.IN_Q_OVERFLOW != 0, e.Name == name:
			ours = true
		}
	}
	return ours, gone
}
