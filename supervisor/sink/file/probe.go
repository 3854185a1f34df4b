package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Test writes a file as long as the token's beside it, under all the checks and
// with the attributes of a delivery, and removes it. The token's own file is
// only looked at.
func (s *Sink) Test(ctx context.Context, d sink.Delivery) (done string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	path, err := s.path(d.Document)
	if err != nil {
		return "", fmt.Errorf("%w: %w", sink.ErrRefused, err)
	}
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return "", fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	blank := bytes.Repeat([]byte(" "), len(content))
	if err := s.inDirectory(path, func(sys files.System, path string, want atomicfile.Attributes) error {
		return tryBeside(ctx, sys, path, blank, want)
	}); err != nil {
		return "", fmt.Errorf("write beside %s: %w", path, err)
	}
	return fmt.Sprintf("wrote a blank file of %d bytes beside %s and removed it", len(blank), path), nil
}

// tryBeside writes and removes a file that has the name of a delivery's
// temporary ones, so that one that is left behind is swept away by a later
// delivery.
func tryBeside(ctx context.Context, sys files.System, path string, content []byte, want atomicfile.Attributes) error {
	want, err := asOver(sys, path, want)
	if err != nil {
		return err
	}
	dir, base := filepath.Split(path)
	beside := filepath.Join(dir, "."+base+"."+strconv.FormatUint(rand.Uint64(), 10)+".tmp")
	err = atomicfile.Replace(ctx, sys, beside, content, want)
	if err != nil && !errors.Is(err, atomicfile.ErrNotDurable) {
		return err
	}
	return errors.Join(err, sys.Remove(beside))
}

// asOver is want for another file than the one at path, as it would be for that
// one.
func asOver(sys files.System, path string, want atomicfile.Attributes) (atomicfile.Attributes, error) {
	info, err := sys.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return want, nil
	case err != nil:
		return want, err
	case !info.Mode().IsRegular():
		return want, errors.New("what is there is a symbolic link or no file: move it away or set another path")
	}
	if perm := info.Mode().Perm(); want.Mode == 0 {
		want.Mode = perm
	} else {
		want.Mode &= perm
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if want.UID == atomicfile.Unchanged {
			want.UID = int(st.Uid)
		}
		if want.GID == atomicfile.Unchanged {
			want.GID = int(st.Gid)
		}
	}
	return want, nil
}
