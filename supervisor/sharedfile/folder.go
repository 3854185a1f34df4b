package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/datafolder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

func (f *File) rule() trust.Rule { return trust.Rule{OpenFolder: f.cfg.TrustFolder} }

// folder opens the token file's folder, which nobody can have put there who is
// not trusted. The error wraps [fs.ErrNotExist] if it is missing.
func (f *File) folder() (sys files.System, done func(), err error) {
	if f.sys != nil {
		return f.sys, func() {}, nil
	}
	d, err := datafolder.Open(f.cfg.Path, f.rule())
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

// mostLinks from the lock's path to the file.
const mostLinks = 40

// lockFolder opens the folder of the lock file, which may be named by links of
// root and of our own user; path is the file itself.
func (f *File) lockFolder() (sys files.System, path string, done func(), err error) {
	path = f.cfg.Lock
	if f.sys != nil {
		return f.sys, path, func() {}, nil
	}
	for range mostLinks {
		d, err := datafolder.Open(path, f.rule())
		if err != nil {
			return nil, "", nil, err
		}
		target, err := d.Link(path)
		if target == "" && err == nil {
			if _, err = d.Lstat(path); path == f.cfg.Lock || !errors.Is(err, fs.ErrNotExist) {
				return d, path, d.Close, nil
			}
			err = fmt.Errorf("its lock %s is a link to nothing: remove it", f.cfg.Lock)
		}
		d.Close()
		if err != nil {
			return nil, "", nil, err
		}
		path = target
	}
	return nil, "", nil, fmt.Errorf("too many symbolic links lead from %s to the lock", f.cfg.Lock)
}

// named is what the lock's path leads to for every program.
func (f *File) named() (fs.FileInfo, error) {
	if f.sys != nil {
		return f.sys.Stat(f.cfg.Lock)
	}
	return os.Stat(f.cfg.Lock)
}

// Trusted says whether the token file, the lock file and their folders can be
// of nobody but those who are trusted: nil, or a [*trust.Refusal] and the like.
// What is missing is in order.
func (f *File) Trusted() error {
	sys, done, err := f.folder()
	if err == nil {
		_, err = sys.Lstat(f.cfg.Path)
		done()
	}
	if err == nil || Nothing(err) {
		err = f.lockTrusted()
	}
	if err == nil || Nothing(err) {
		return nil
	}
	return fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
}

func (f *File) lockTrusted() error {
	sys, path, done, err := f.lockFolder()
	if err != nil {
		return err
	}
	defer done()
	_, err = sys.Lstat(path)
	return err
}
