// Package atomicfile replaces a file as a whole: its readers see the old
// content or the new, never a part, and once it says so the new one survives a
// loss of power.
package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// Replace puts content at path, durably, or leaves everything as it was. What
// want leaves open, the new file has from the one that is there, and so its
// security labels and what else was noted with it (xattr(7)). If ctx ends
// before the content is seen at path, it is not seen at all. An error says
// what to do where a person can heal it; it names no more of path than the
// directory.
//
// The content is written to a new file with a random name beside path, synced
// and renamed over it. A path that names a symbolic link or anything else but
// a file is refused. One failure comes too late to leave everything as it was:
// after it, [ErrNotDurable], the new content is seen.
func Replace(ctx context.Context, sys files.System, path string, content []byte, want Attributes) error {
	p, err := Prepare(sys, path, 0, want)
	if err != nil {
		return err
	}
	return p.put(ctx, content)
}

// ErrNotDurable: the new content is there and every reader sees it, but after
// a loss of power the old one may be there again.
var ErrNotDurable = errors.New("the new content is there, but a loss of power may take it back")

// createTemp opens a file with a random name beside path, O_EXCL and with
// 0600: nobody else can have it open, and nobody reads the token before the
// file has its owner.
func createTemp(sys files.System, path string) (files.File, error) {
	prefix, suffix, _ := strings.Cut(pattern(filepath.Base(path)), "*")
	for range 100 {
		name := filepath.Join(dirOf(path), prefix+strconv.FormatUint(rand.Uint64(), 10)+suffix)
		f, err := sys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, errors.New("no name is free for a temporary file")
}

func dirOf(path string) string {
	dir, _ := filepath.Split(path)
	if dir == "" {
		return "."
	}
	return dir
}

// pattern of the temporary files beside base: the star stands for a number.
func pattern(base string) string { return "." + base + ".*.tmp" }

// LeftAge is how old a temporary file has to be to count as left behind.
const LeftAge = 10 * time.Minute

// Sweep removes temporary files that a killed supervisor left behind in dir:
// they hold tokens. ours says whether one was meant for a file of ours: the
// name of that file and the random number. Failing to remove one is no failure.
// It reads the whole directory.
func Sweep(sys files.System, dir string, ours func(base, random string) bool) {
	entries, err := sys.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), ".")
		if !ok {
			continue
		}
		if name, ok = strings.CutSuffix(name, ".tmp"); !ok {
			continue
		}
		at := strings.LastIndexByte(name, '.')
		if at < 0 || at == len(name)-1 || strings.Trim(name[at+1:], "0123456789") != "" || !ours(name[:at], name[at+1:]) {
			continue
		}
		info, err := e.Info()
		if err == nil && info.Mode().Type() == fs.FileMode(0) && time.Since(info.ModTime()) > LeftAge {
			_ = sys.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// SweepBeside is [Sweep] for the file at path alone.
func SweepBeside(sys files.System, path string) {
	Sweep(sys, filepath.Dir(path), func(base, _ string) bool { return base == filepath.Base(path) })
}

// explain says what to do about the errors that a person can heal.
func explain(path string, err error) error {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: create it for the user that runs Tokenkeeper", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the user that runs Tokenkeeper may not write to the directory %s: %w", dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the file system of the directory %s can only be read: mount it with rw: %w", dir, err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk quota of the file's owner is used up: free some space, or raise it: %w", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("no space or no inode is left in the directory %s: free some space (df %s, df -i %s): %w", dir, dir, dir, err)
	case isMounted(err):
		return errMounted(dir)
	}
	return err
}
