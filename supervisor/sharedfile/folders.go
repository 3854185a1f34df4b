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

// folders are those of the token file and of its lock. They are opened anew for each
// use, as [datafolder.Open] has examined them: nobody can have put there what is used
// who is not trusted.
type folders struct {
	token, lock string // the paths of the two files
	rule        trust.Rule
	sys         files.System // has both; nil: the real ones
}

// ofToken opens the token file's folder. The error wraps [fs.ErrNotExist] if it is
// missing.
func (d *folders) ofToken() (sys files.System, done func(), err error) {
	if d.sys != nil {
		return d.sys, func() {}, nil
	}
	opened, err := datafolder.Open(d.token, d.rule)
	if err != nil {
		return nil, nil, err
	}
	return opened, opened.Close, nil
}

// mostLinks from the lock's path to the file.
const mostLinks = 40

// ofLock opens the folder of the lock file, which may be named by links of
// root and of our own user; path is the file itself.
func (d *folders) ofLock() (sys files.System, path string, done func(), err error) {
	path = d.lock
	if d.sys != nil {
		return d.sys, path, func() {}, nil
	}
	for range mostLinks {
		opened, err := datafolder.Open(path, d.rule)
		if err != nil {
			return nil, "", nil, err
		}
		target, err := opened.Link(path)
		if target == "" && err == nil {
			if _, err = opened.Lstat(path); path == d.lock || !errors.Is(err, fs.ErrNotExist) {
				return opened, path, opened.Close, nil
			}
			err = fmt.Errorf("its lock %s is a link to nothing: remove it", d.lock)
		}
		opened.Close()
		if err != nil {
			return nil, "", nil, err
		}
		path = target
	}
	return nil, "", nil, fmt.Errorf("too many symbolic links lead from %s to the lock", d.lock)
}

// named is what the lock's path leads to for every program.
func (d *folders) named() (fs.FileInfo, error) {
	if d.sys != nil {
		return d.sys.Stat(d.lock)
	}
	return os.Stat(d.lock)
}

// trusted is [File.Trusted].
func (d *folders) trusted() error {
	sys, done, err := d.ofToken()
	if err == nil {
		_, err = sys.Lstat(d.token)
		done()
	}
	if err == nil || Nothing(err) {
		err = d.lockTrusted()
	}
	if err == nil || Nothing(err) {
		return nil
	}
	return err
}

func (d *folders) lockTrusted() error {
	sys, path, done, err := d.ofLock()
	if err != nil {
		return err
	}
	defer done()
	_, err = sys.Lstat(path)
	return err
}
