package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownPrefix begins the name of the folder of who only observes, among the temporary files.
const ownPrefix = "tokenkeeper-observe-"

// ownFolder is such a folder. Its lock ends with the process, and says that it is in use.
type ownFolder struct {
	path string
	lock *os.File // nil: its file system has none, and nobody else removes it
}

func newOwnFolder() (ownFolder, error) {
	const tries = 10
	for n := 1; ; n++ {
		path, err := os.MkdirTemp("", ownPrefix)
		if err != nil {
			return ownFolder{}, fmt.Errorf("no folder can be made for the sockets of the processes: %w; set TMPDIR to one that is writable", err)
		}
		lock, err := holdFolder(path)
		taken := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) // by who removes those that are left
		if !taken || n == tries {
			return ownFolder{path, lock}, nil
		}
	}
}

// remove ends it.
func (f ownFolder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

// holdFolder takes the lock of a folder that is in its place.
func holdFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		var is, there fs.FileInfo
		if is, err = f.Stat(); err == nil {
			there, err = os.Lstat(path)
		}
		if err == nil && !os.SameFile(is, there) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// RemoveLeftFolders removes what those have left who only observed, of this user, and were
// killed. Nothing depends on it.
func RemoveLeftFolders() {
	all, _ := os.ReadDir(os.TempDir())
	for _, entry := range all {
		if !strings.HasPrefix(entry.Name(), ownPrefix) || !entry.IsDir() {
			continue
		}
		path := filepath.Join(os.TempDir(), entry.Name())
		info, err := os.Lstat(path)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
			continue
		}
		if lock, err := holdFolder(path); err == nil { // nobody uses it
			_ = ownFolder{path, lock}.remove()
		}
	}
}
