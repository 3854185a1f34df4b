package atomicfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// keptAside is how many of a file are kept.
const keptAside = 3

// Aside is where the newest is that [KeepAside] has kept of the file at path.
func Aside(path string) string { return path + ".damaged" }

// KeepAside keeps content, what the file at path holds and nobody can read, beside it,
// durably and before anything is written over it: it may be the rest of the only copy of a
// token. It has the file's mode and owner, if they can be given, and is nobody else's
// otherwise. The newest few of a file are kept, each once. It returns where.
func KeepAside(sys files.System, path string, content []byte) (kept string, err error) {
	kept = Aside(path)
	if holds(sys, kept, content) {
		return kept, nil
	}
	want, err := AttributesOf(sys, path)
	if err != nil {
		return "", explain(path, err)
	}
	// The older ones make room once there is something to make room for: the disk may be full.
	fresh := kept + ".new"
	if err = Replace(context.Background(), sys, fresh, content, want); err != nil && !errors.Is(err, ErrNotDurable) {
		err = Replace(context.Background(), sys, fresh, content, Attributes{Mode: 0o600, UID: Unchanged, GID: Unchanged})
	}
	if err != nil && !errors.Is(err, ErrNotDurable) {
		return "", err
	}
	if err := aside(sys, path, fresh); err != nil {
		return "", err
	}
	return kept, errors.Join(err, sys.SyncDir(filepath.Dir(path)))
}

// MoveAside is [KeepAside] for a file that can't be read: it is moved there as it is, which
// [Replace] makes durable, and nothing is at path any more.
func MoveAside(sys files.System, path string) (kept string, err error) {
	if _, _, err := AsTheyAre().over(sys, path); err != nil { // a file, and of nobody who is not trusted
		return "", err
	}
	return Aside(path), aside(sys, path, path)
}

// aside makes the file at from the newest one that is kept of that at path.
func aside(sys files.System, path, from string) error {
	for n := keptAside; n > 1; n-- {
		if err := sys.Rename(asideNumber(path, n-1), asideNumber(path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain(path, err)
		}
	}
	return explain(path, sys.Rename(from, Aside(path)))
}

// asideNumber is where the n-th newest is.
func asideNumber(path string, n int) string {
	if n == 1 {
		return Aside(path)
	}
	return Aside(path) + "." + strconv.Itoa(n)
}

// holds says whether the file at path has exactly this content.
func holds(sys files.System, path string, content []byte) bool {
	f, err := sys.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(len(content))+1))
	return err == nil && bytes.Equal(b, content)
}
