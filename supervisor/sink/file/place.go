package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/atomicfile"
)

// othersWrite are the bits that let others than the owner change a directory.
const othersWrite = 0o022

// inDirectory calls do with the directory of path, which nobody else can have
// put there, and with the attributes that its file shall have.
func (s *Sink) inDirectory(path string, do func(sys files.System, path string, want atomicfile.Attributes) error) error {
	want := atomicfile.Attributes{Mode: s.cfg.Mode, UID: s.owner.uid, GID: s.owner.gid, NeverLoosen: true}
	if s.sys != nil {
		return do(s.sys, path, want)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	root, shared, err := openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if shared {
		if want, err = settleOwner(root, path, want); err != nil {
			return err
		}
	}
	return do(rooted{root}, path, want)
}

// openDir opens an absolute directory and looks at each one on the way:
// whoever may write to one could lead the token elsewhere. shared: others may
// put files into the directory, which is sticky.
func openDir(dir string) (root *os.Root, shared bool, err error) {
	fd, err := openPath(unix.AT_FDCWD, "/", "/")
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = unix.Close(fd) }()
	stat, err := examine(fd, "/")
	if err != nil {
		return nil, false, err
	}
	at := "/"
	for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if name == "" {
			continue
		}
		at = filepath.Join(at, name)
		next, err := openPath(fd, name, at)
		if err != nil {
			return nil, false, err
		}
		_ = unix.Close(fd)
		fd = next
		if stat, err = examine(fd, at); err != nil {
			return nil, false, err
		}
	}
	// The directories above may be closed to reading, so that the way goes
	// through descriptors that only name them; what is opened now must be what
	// was looked at.
	root, err = os.OpenRoot(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, false, fmt.Errorf("the user that runs Tokenkeeper may not use the directory %s: %w", dir, err)
	} else if err != nil {
		return nil, false, err
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, false, err
	}
	if st := info.Sys().(*syscall.Stat_t); st.Dev != stat.Dev || st.Ino != stat.Ino {
		_ = root.Close()
		return nil, false, fmt.Errorf("the directory %s was replaced just now", dir)
	}
	return root, stat.Mode&othersWrite != 0, nil
}

// openPath names what is there without following a link (O_PATH in open(2)).
func openPath(parent int, name, at string) (int, error) {
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("there is no directory %s: create it for the user that runs Tokenkeeper", at)
	case errors.Is(err, unix.EACCES):
		return -1, fmt.Errorf("the user that runs Tokenkeeper may not search the directory above %s: %w", at, err)
	case err != nil:
		return -1, fmt.Errorf("%s: %w", at, err)
	}
	return fd, nil
}

// examine refuses what is no directory, and one that others can change.
func examine(fd int, at string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return stat, fmt.Errorf("%s: %w", at, err)
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return stat, fmt.Errorf("%s is a symbolic link, which could be made to lead elsewhere: write the path without links (realpath shows it)", at)
	case unix.S_IFDIR:
	default:
		return stat, fmt.Errorf("%s is no directory: move it away or set another path", at)
	}
	if stat.Mode&othersWrite != 0 && stat.Mode&unix.S_ISVTX == 0 {
		return stat, fmt.Errorf("others than its owner may write to the directory %s (mode %#o) and could replace the file: chmod go-w, or choose another directory", at, stat.Mode&0o7777)
	}
	return stat, nil
}

// settleOwner is for a directory in which others may create files: nobody
// shall get a token by putting an own file there first.
func settleOwner(root *os.Root, path string, want atomicfile.Attributes) (atomicfile.Attributes, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	info, err := root.Lstat(filepath.Base(path))
	if err == nil {
		st := info.Sys().(*syscall.Stat_t)
		if int(st.Uid) != uid && st.Uid != 0 && int(st.Uid) != want.UID {
			return want, fmt.Errorf("it belongs to user %d, who may have put it there to get the token, as everybody may write to the directory: remove it, or set owner to that user", st.Uid)
		}
		uid, gid = int(st.Uid), int(st.Gid)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return want, err
	}
	if want.UID == atomicfile.Unchanged {
		want.UID = uid
	}
	if want.GID == atomicfile.Unchanged && err == nil {
		want.GID = gid
	}
	return want, nil
}
