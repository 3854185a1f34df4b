package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// private says why dir is not ours alone, as a [*trust.Refusal]: others may read in it, or
// can have put it there. Any other error says that it is missing, or what it is.
func private(dir string) error {
	path, err := filepath.Abs(dir)
	if err == nil {
		_, err = trust.Here().Private(path)
	}
	return err
}

// prepareDir makes dir, or checks that it is private.
func prepareDir(dir string) error {
	err := private(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("the state directory can't be made: %w", err)
		}
		if err = private(dir); err == nil {
			return keepMade(dir)
		}
	}
	if err != nil {
		return fmt.Errorf("the state directory %s: %w", dir, err)
	}
	return nil
}

// remakeDir is prepareDir for a directory that was there before. The one above
// it is not made: if that is missing, a disk is, and what is written below its
// mount point is hidden when it comes back.
func remakeDir(dir string) error {
	if refusal := (*trust.Refusal)(nil); errors.As(private(dir), &refusal) {
		// An empty one of another user, or open to others, is only in the way.
		_ = unix.Rmdir(dir)
	}
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		return keepMade(dir)
	case errors.Is(err, fs.ErrExist):
		return prepareDir(dir)
	}
	return fmt.Errorf("the state directory can't be made: %w", err)
}

// keepMade makes durable that a directory was made, or takes it away again: the next try
// makes it anew, and relies on none that a power loss may take.
func keepMade(dir string) error {
	err := syncDir(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		_ = os.Remove(dir)
	}
	return err
}

// syncDir makes durable which files a directory holds under which names.
func syncDir(dir string) error { return files.OS{}.SyncDir(dir) }
