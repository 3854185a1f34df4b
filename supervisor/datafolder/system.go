package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

var _ files.System = (*Folder)(nil)

// openFile implements [files.File].
type openFile struct{ *os.File }

func (f openFile) Datasync() error { return files.Datasync(f.File) }

func (f openFile) Reserve(n int64) error { return files.Reserve(f.File, n) }

// OpenFile follows no link.
func (f *Folder) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	file, err := f.open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return openFile{file}, nil
}

// OpenUnchanged opens a file to read what nobody can have written who is not
// trusted. It follows no link and waits for nobody.
func (f *Folder) OpenUnchanged(name string) (*os.File, error) {
	file, err := f.open(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := f.judge.Content(name, file, f.rule, f.grounds); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// OpenAppended opens a file to add to it, and makes it for our own user if it is
// missing. It follows no link and waits for nobody.
func (f *Folder) OpenAppended(name string) (*os.File, error) {
	return f.open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NONBLOCK, 0o600)
}

func (f *Folder) open(name string, flag int, perm fs.FileMode) (*os.File, error) {
	base := filepath.Base(name)
	var fd int
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Openat(int(f.dir.Fd()), base, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	info, statErr := file.Stat()
	if _, err := f.vet(name, info, statErr); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Stat follows a link within the folder.
func (f *Folder) Stat(name string) (fs.FileInfo, error) {
	info, err := f.root.Stat(filepath.Base(name))
	return f.vet(name, info, err)
}

// Lstat implements [files.System].
func (f *Folder) Lstat(name string) (fs.FileInfo, error) {
	info, err := f.root.Lstat(filepath.Base(name))
	return f.vet(name, info, err)
}

// Lgetxattr reads an extended attribute.
func (f *Folder) Lgetxattr(name, attr string, dest []byte) (int, error) {
	return unix.Lgetxattr(f.byDescriptor(name), attr, dest)
}

// Llistxattr reads the names of all.
func (f *Folder) Llistxattr(name string, dest []byte) (int, error) {
	return unix.Llistxattr(f.byDescriptor(name), dest)
}

// byDescriptor is a path for calls that Linux before 6.13 has with a path alone,
// and not with a directory: /proc leads to the one that is open
// (proc_pid_fd(5)).
func (f *Folder) byDescriptor(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.dir.Fd(), filepath.Base(name))
}

// ReadDir reads the folder itself.
func (f *Folder) ReadDir(string) ([]fs.DirEntry, error) {
	d, err := f.root.Open(".") // a descriptor of its own has a position of its own
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.ReadDir(-1)
}

// Mkdir implements [files.System].
func (f *Folder) Mkdir(name string, perm fs.FileMode) error {
	return f.root.Mkdir(filepath.Base(name), perm)
}

// Rename implements [files.System].
func (f *Folder) Rename(from, to string) error {
	return f.root.Rename(filepath.Base(from), filepath.Base(to))
}

// Remove implements [files.System].
func (f *Folder) Remove(name string) error { return f.root.Remove(filepath.Base(name)) }

// SyncDir syncs the folder itself.
func (f *Folder) SyncDir(string) error { return f.dir.Sync() }
