package inotify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Await blocks until appeared is true; it is asked at first and after each
// thing that may have made something appear at path. If path's directory is
// missing too, Await watches the nearest one that is there. path is absolute.
func Await(ctx context.Context, path string, appeared func() bool) error {
	for !appeared() {
		dir, name := nearest(path)
		// What happens before the watch stands is seen by looking.
		changed := func() bool {
			d, n := nearest(path)
			return d != dir || n != name || appeared()
		}
		if err := awaitName(ctx, dir, name, changed); err != nil {
			return fmt.Errorf("can't watch %s: %w", dir, err)
		}
	}
	return nil
}

// nearest returns the deepest directory above path that exists, and the name
// in it that leads to path.
func nearest(path string) (dir, name string) {
	for {
		dir, name = filepath.Dir(path), filepath.Base(path)
		if info, err := os.Stat(dir); dir == path || err == nil && info.IsDir() {
			return dir, name
		}
		path = dir
	}
}

// awaitName blocks until name is made in dir or moved there, until dir itself
// goes away, or for no time if changed says so once the watch stands.
func awaitName(ctx context.Context, dir, name string, changed func() bool) error {
	w, err := Open(dir, appears|vanishes)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return ctx.Err() // it has gone since it was looked for
	}
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	if changed() {
		return ctx.Err()
	}
	for {
		events, err := w.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Mask&appears == 0 || e.Name == name {
				return nil
			}
		}
	}
}
