package file

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

// replace puts content at path, durably, or leaves everything as it was.
func (s *Sink) replace(ctx context.Context, path string, content []byte) (err error) {
	want, err := s.attributes(path)
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
	if err := fill(f, content, want); err != nil {
		return explain(path, errors.Join(err, f.Close()))
	}
	if err := f.Close(); err != nil {
		return explain(path, err)
	}
	// A write that took longer than the delivery may must not be seen: a newer
	// one could be there already.
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
func fill(f *os.File, content []byte, want attributes) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := chown(f, want.owner); err != nil {
		return err
	}
	if err := f.Chmod(want.mode); err != nil { // after chown, which may clear bits
		return err
	}
	return f.Sync()
}

// chown gives the file to its owner, if it has another.
func chown(f *os.File, want owner) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if want.uid == int(st.Uid) {
			want.uid = unchanged
		}
		if want.gid == int(st.Gid) {
			want.gid = unchanged
		}
	}
	if want.uid == unchanged && want.gid == unchanged {
		return nil
	}
	if err := f.Chown(want.uid, want.gid); err != nil {
		// Not wrapped: it is not the directory that refuses.
		return fmt.Errorf("it can't be given to its owner (uid %d, gid %d; -1: no change): only root may do so; run Tokenkeeper as that user, or hand the file over to Tokenkeeper's user and set mode and group", want.uid, want.gid)
	}
	return nil
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
// hold tokens. Failing to do so is no failure of the delivery.
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
