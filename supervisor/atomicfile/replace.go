// Package atomicfile replaces a file as a whole: its readers see the old
// content or the new, never a part, and once it says so the new one survives a
// loss of power.
package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Replace puts content at path, durably, or leaves everything as it was. What
// want leaves open, the new file has from the one that is there. If ctx ends
// before the content is seen at path, it is not seen at all. An error says
// what to do where a person can heal it; it names no more of path than the
// directory.
//
// The content is written to a new file with a random name beside path, synced
// and renamed over it. A path that names a symbolic link or anything else but
// a file is refused.
func Replace(ctx context.Context, path string, content []byte, want Attributes) (err error) {
	want, acl, err := want.over(path)
	if err != nil {
		return err
	}
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	// A random name, opened O_EXCL with 0600: nobody else can have it open, and
	// nobody reads the token before the file has its owner.
	f, err := os.CreateTemp(dir, pattern(base))
	if err != nil {
		return explain(path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := fill(f, content, want, acl); err != nil {
		return explain(path, errors.Join(err, f.Close()))
	}
	if err := f.Close(); err != nil {
		return explain(path, err)
	}
	// A write that took longer than it may must not be seen: a newer one could
	// be there already.
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return explain(path, err)
	}
	sweep(dir, base)
	return syncDir(dir)
}

// fill writes the content and makes it durable under the attributes that it
// shall have.
func fill(f *os.File, content []byte, want Attributes, acl []byte) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := chown(f, want); err != nil {
		return err
	}
	// After chown, which may clear bits. A list holds the whole mode: a chmod
	// before it would let the owning group in for a moment.
	if acl != nil {
		if err := setACL(f, acl); err != nil {
			return fmt.Errorf("its access control list can't be kept: %w", err)
		}
	} else if err := f.Chmod(want.Mode); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pattern of the temporary files beside base, as os.CreateTemp takes it.
func pattern(base string) string { return "." + base + ".*.tmp" }

// leftAge is how old a temporary file has to be to count as left behind.
const leftAge = 10 * time.Minute

// sweep removes temporary files that a killed supervisor left behind: they
// hold tokens. Failing to do so is no failure of the write.
func sweep(dir, base string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	prefix, suffix, _ := strings.Cut(pattern(base), "*")
	for _, e := range entries {
		random, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		if random, ok = strings.CutSuffix(random, suffix); !ok || strings.Trim(random, "0123456789") != "" {
			continue
		}
		info, err := e.Info()
		if err == nil && info.Mode().Type() == fs.FileMode(0) && time.Since(info.ModTime()) > leftAge {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// explain says what to do about the errors that a person can heal.
func explain(path string, err error) error {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: create it for the user that runs Tokenkeeper", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the user that runs Tokenkeeper may not write to the directory %s: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("free some space: %w", err)
	}
	return err
}
