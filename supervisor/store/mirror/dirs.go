package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// prepareDir makes dir, or checks that nobody else reads in it or can have put it
// there.
func prepareDir(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	judge := trust.Here()
	_, err = judge.Private(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("the state directory can't be made: %w", err)
		}
		if _, err = judge.Private(path); err == nil {
			return keepMade(path)
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
	var refusal *trust.Refusal
	if path, err := filepath.Abs(dir); err == nil {
		if _, err := trust.Here().Private(path); errors.As(err, &refusal) {
			// An empty one of another user, or open to others, is only in the way.
			_ = unix.Rmdir(dir)
		}
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
	err := syncDir(filepath.Dir(dir))
	if err != nil {
		_ = os.Remove(dir)
	}
	return err
}

// checkFile checks a state file that exists.
func checkFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the state file can't be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the state file %s is not a regular file", path)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("the state file %s is open to others (mode %04o), and it holds refresh tokens: chmod 600 %s",
			path, info.Mode().Perm(), path)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}
