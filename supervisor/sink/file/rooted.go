package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// rooted is one open directory: of each path only the last part counts, so that
// it does not matter what becomes of the directories above meanwhile.
type rooted struct{ root *os.Root }

var _ files.System = rooted{}

// openFile implements [files.File].
type openFile struct {
	*os.File
	name string
}

func (f openFile) Name() string { return f.name }

func (f openFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

func (f openFile) Reserve(n int64) error { return files.Reserve(f.File, n) }

func (r rooted) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := r.root.OpenFile(filepath.Base(name), flag, perm)
	if err != nil {
		return nil, err
	}
	return openFile{f, name}, nil
}

func (r rooted) Stat(name string) (fs.FileInfo, error) { return r.root.Stat(filepath.Base(name)) }

func (r rooted) Lstat(name string) (fs.FileInfo, error) { return r.root.Lstat(filepath.Base(name)) }

// Lgetxattr reads an extended attribute.
func (r rooted) Lgetxattr(name, attr string, dest []byte) (n int, err error) {
	return r.byDescriptor(name, func(path string) (int, error) { return unix.Lgetxattr(path, attr, dest) })
}

// Llistxattr reads the names of all.
func (r rooted) Llistxattr(name string, dest []byte) (n int, err error) {
	return r.byDescriptor(name, func(path string) (int, error) { return unix.Llistxattr(path, dest) })
}

// byDescriptor is for calls that Linux before 6.13 has with a path alone, and
// not with a directory: /proc leads to the one that is open (proc_pid_fd(5)).
func (r rooted) byDescriptor(name string, call func(path string) (int, error)) (int, error) {
	d, err := r.root.Open(".")
	if err != nil {
		return 0, err
	}
	defer func() { _ = d.Close() }()
	return call(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), filepath.Base(name)))
}

// ReadDir reads the directory itself.
func (r rooted) ReadDir(string) ([]fs.DirEntry, error) {
	d, err := r.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	entries, err := d.ReadDir(-1)
	return entries, err
}

func (r rooted) Mkdir(name string, perm fs.FileMode) error {
	return r.root.Mkdir(filepath.Base(name), perm)
}

func (r rooted) Rename(from, to string) error {
	return r.root.Rename(filepath.Base(from), filepath.Base(to))
}

func (r rooted) Remove(name string) error { return r.root.Remove(filepath.Base(name)) }

// SyncDir syncs the directory itself.
func (r rooted) SyncDir(string) error {
	d, err := r.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
